import * as v from 'valibot';
import { isObject } from '../checkpoint/json-file.js';
import { EspalierError } from '../native/errors.js';
import { checkAddedTokens } from './added-tokens.js';
import { bertNormalizer } from './bert-normalizer.js';
import { bertPreTokenizer } from './bert-pre-tokenizer.js';
import { byteLevelPreTokenizer, wholeText } from './byte-level-pre-tokenizer.js';
import { BytePairEncoding } from './byte-pair-encoding.js';
import { configuredTokens } from './configured-tokens.js';
import { readMerges } from './merges.js';
import { asItIs } from './normalizer.js';
import type { TokenizerParts } from './pipeline.js';
import { bertPostProcessor, type PostProcessor, postProcessingOf, robertaPostProcessor } from './post-processor.js';
import type { TokenizerConfig } from './tokenizer-config.js';
import { parseJson, tokenId, tokenIds, tokenText, validate } from './validate.js';
import { checkVocabulary, idsOf } from './vocabulary.js';
import { WordPiece } from './word-piece.js';

const unsupported =
  (...supported: unknown[]) =>
  ({ received }: { received: string }) =>
    `${received} is not supported, only ${supported.map((value) => JSON.stringify(value)).join(' or ')}`;
const onlyType = <const T extends string>(name: T) => v.literal(name, unsupported(name));
const nothing = v.nullish(v.null(unsupported(null)));
const noText = v.nullish(v.literal('', unsupported(null)));

/** What both kinds of file share. `truncation`, `padding` and `decoder` are nobody's business here. */
const everyFile = {
  version: v.literal('1.0'),
  added_tokens: v.array(
    v.object({
      id: tokenId,
      content: tokenText,
      single_word: v.boolean(),
      lstrip: v.boolean(),
      rstrip: v.boolean(),
      normalized: v.boolean(),
      special: v.boolean(),
    }),
  ),
};

/** BERT's tokenizers. */
const wordPieceFile = v.object({
  // First, because the model's type says best what kind of tokenizer it is.
  model: v.object({
    type: v.optional(v.literal('WordPiece', unsupported('WordPiece', 'BPE'))),
    unk_token: v.string(),
    continuing_subword_prefix: v.string(),
    max_input_chars_per_word: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
    vocab: tokenIds,
  }),
  normalizer: v.object({
    type: onlyType('BertNormalizer'),
    clean_text: v.boolean(),
    handle_chinese_chars: v.boolean(),
    strip_accents: v.nullable(v.boolean()),
    lowercase: v.boolean(),
  }),
  pre_tokenizer: v.object({ type: onlyType('BertPreTokenizer') }),
  post_processor: bertPostProcessor,
  ...everyFile,
});

/** RoBERTa's tokenizers. The vocabulary must hold all bytes, so that what would happen to unknown ones does not matter. */
const bytePairFile = v.object({
  model: v.object({
    dropout: v.nullish(v.literal(0, unsupported(null))),
    continuing_subword_prefix: noText,
    end_of_word_suffix: noText,
    ignore_merges: v.optional(v.literal(false, unsupported(false))),
    vocab: tokenIds,
    merges: v.array(v.unknown()),
  }),
  normalizer: nothing,
  pre_tokenizer: v.object({
    type: onlyType('ByteLevel'),
    add_prefix_space: v.boolean(),
    use_regex: v.optional(v.boolean(), true),
  }),
  post_processor: robertaPostProcessor,
  ...everyFile,
});

/**
 * Reads a tokenizer.json. Where the configuration says something else, it wins where it does in transformers.
 * @throws EspalierError ERR_TOKENIZER where it is no such file, contradicts itself or needs something unsupported.
 */
export function parseTokenizerJson(content: string, config: TokenizerConfig): TokenizerParts {
  const json = parseJson(content);
  return isBytePair(json)
    ? bytePairParts(validate(bytePairFile, json), config)
    : wordPieceParts(validate(wordPieceFile, json), config);
}

/** Files from before the model's type was written down show it by their fields. */
function isBytePair(json: unknown): boolean {
  if (!isObject(json) || !isObject(json.model)) return false;
  const { type, merges } = json.model;
  return type === 'BPE' || (type === undefined && merges !== undefined);
}

function wordPieceParts(file: v.InferOutput<typeof wordPieceFile>, config: TokenizerConfig): TokenizerParts {
  const { model, normalizer } = file;
  const vocabulary = checkVocabulary(Object.entries(model.vocab));
  const filed = {
    cleanText: normalizer.clean_text,
    handleChineseChars: normalizer.handle_chinese_chars,
    stripAccents: normalizer.strip_accents,
    lowercase: normalizer.lowercase,
  };
  return {
    normalize: bertNormalizer(config.kind === 'bert' ? { ...filed, ...config.normalizer } : filed),
    normalizeTokens: bertNormalizer(filed),
    preTokenize: bertPreTokenizer,
    model: new WordPiece(vocabulary, {
      unknownToken: model.unk_token,
      continuingPrefix: model.continuing_subword_prefix,
      maxWordCharacters: model.max_input_chars_per_word,
    }),
    ...frame(file, vocabulary, config),
  };
}

function bytePairParts(file: v.InferOutput<typeof bytePairFile>, config: TokenizerConfig): TokenizerParts {
  if (config.kind === 'bert') {
    throw new EspalierError(
      'ERR_TOKENIZER',
      "BERT's tokenizer classes cannot use byte-level BPE (tokenizer_config.json may name another tokenizer_class)",
    );
  }
  const { model, pre_tokenizer: preTokenizer } = file;
  const vocabulary = checkVocabulary(Object.entries(model.vocab));
  return {
    normalize: asItIs,
    prefixSpace: config.kind ? config.prefixSpace : preTokenizer.add_prefix_space,
    preTokenize: preTokenizer.use_regex ? byteLevelPreTokenizer : wholeText,
    model: new BytePairEncoding(vocabulary, readMerges(model.merges)),
    ...frame(file, vocabulary, config),
  };
}

/** The added tokens, what they make of the vocabulary, and the special tokens' places. */
function frame(
  file: Pick<v.InferOutput<typeof wordPieceFile>, 'added_tokens'> & { post_processor: PostProcessor },
  vocabulary: ReadonlyMap<string, number>,
  config: TokenizerConfig,
): Pick<TokenizerParts, 'addedTokens' | 'template' | 'trimmer' | 'vocabulary'> {
  const filed = checkAddedTokens(
    file.added_tokens.map(({ single_word: singleWord, ...token }) => ({ ...token, singleWord })),
    vocabulary,
  );
  const addedTokens = configuredTokens(config, vocabulary, filed);
  const ids = idsOf(vocabulary, addedTokens);
  return { addedTokens, ...postProcessingOf(configured(file.post_processor, config), ids), vocabulary: ids };
}

function configured(processor: PostProcessor, { kind, prefixSpace, trimOffsets }: TokenizerConfig): PostProcessor {
  if (kind !== 'roberta' || processor.type !== 'RobertaProcessing') return processor;
  return { ...processor, add_prefix_space: prefixSpace, trim_offsets: trimOffsets };
}
