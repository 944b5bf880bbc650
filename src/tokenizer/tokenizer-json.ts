import * as v from 'valibot';
import { isObject } from '../checkpoint/json-file.js';
import { checkAddedTokens } from './added-tokens.js';
import { bertNormalizer } from './bert-normalizer.js';
import { bertPreTokenizer } from './bert-pre-tokenizer.js';
import { byteLevelPreTokenizer, wholeText } from './byte-level-pre-tokenizer.js';
import { BytePairEncoding } from './byte-pair-encoding.js';
import { readMerges } from './merges.js';
import { asItIs } from './normalizer.js';
import type { TokenizerParts } from './pipeline.js';
import { bertPostProcessor, type PostProcessor, postProcessingOf, robertaPostProcessor } from './post-processor.js';
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
 * Reads a tokenizer.json.
 * @throws EspalierError ERR_TOKENIZER where it is no such file, contradicts itself or needs something unsupported.
 */
export function parseTokenizerJson(content: string): TokenizerParts {
  const json = parseJson(content);
  return isBytePair(json) ? bytePairParts(validate(bytePairFile, json)) : wordPieceParts(validate(wordPieceFile, json));
}

/** Files from before the model's type was written down show it by their fields. */
function isBytePair(json: unknown): boolean {
  if (!isObject(json) || !isObject(json.model)) return false;
  const { type, merges } = json.model;
  return type === 'BPE' || (type === undefined && merges !== undefined);
}

function wordPieceParts(file: v.InferOutput<typeof wordPieceFile>): TokenizerParts {
  const { model, normalizer } = file;
  const vocabulary = checkVocabulary(Object.entries(model.vocab));
  return {
    normalize: bertNormalizer({
      cleanText: normalizer.clean_text,
      handleChineseChars: normalizer.handle_chinese_chars,
      stripAccents: normalizer.strip_accents,
      lowercase: normalizer.lowercase,
    }),
    preTokenize: bertPreTokenizer,
    model: new WordPiece(vocabulary, {
      unknownToken: model.unk_token,
      continuingPrefix: model.continuing_subword_prefix,
      maxWordCharacters: model.max_input_chars_per_word,
    }),
    ...frame(file, vocabulary),
  };
}

function bytePairParts(file: v.InferOutput<typeof bytePairFile>): TokenizerParts {
  const vocabulary = checkVocabulary(Object.entries(file.model.vocab));
  return {
    normalize: asItIs,
    prefixSpace: file.pre_tokenizer.add_prefix_space,
    preTokenize: file.pre_tokenizer.use_regex ? byteLevelPreTokenizer : wholeText,
    model: new BytePairEncoding(vocabulary, readMerges(file.model.merges)),
    ...frame(file, vocabulary),
  };
}

/** The added tokens, what they make of the vocabulary, and the special tokens' places. */
function frame(
  file: Pick<v.InferOutput<typeof wordPieceFile>, 'added_tokens'> & { post_processor: PostProcessor },
  vocabulary: ReadonlyMap<string, number>,
): Pick<TokenizerParts, 'addedTokens' | 'template' | 'trimmer' | 'vocabulary'> {
  const addedTokens = checkAddedTokens(
    file.added_tokens.map(({ single_word: singleWord, ...token }) => ({ ...token, singleWord })),
    vocabulary,
  );
  const ids = idsOf(vocabulary, addedTokens);
  return { addedTokens, ...postProcessingOf(file.post_processor, ids), vocabulary: ids };
}
