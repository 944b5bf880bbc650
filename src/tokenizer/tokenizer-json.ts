import * as v from 'valibot';
import { EspalierError } from '../native/errors.js';
import type { AddedToken } from './added-tokens.js';
import { bertNormalizer } from './bert-normalizer.js';
import { bertPreTokenizer } from './bert-pre-tokenizer.js';
import type { TokenizerParts } from './pipeline.js';
import { bertTemplate, type Template, type TemplatePart } from './template.js';
import { parseJson, validate } from './validate.js';
import { checkVocabulary, missingToken } from './vocabulary.js';
import { WordPiece } from './word-piece.js';

const onlyType = <const T extends string>(name: T) =>
  v.literal(name, (issue) => `${issue.received} is not supported, only ${JSON.stringify(name)}`);
const tokenId = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const typeId = v.picklist([0, 1]);
const tokenText = v.pipe(
  v.string(),
  v.nonEmpty(),
  v.check((text) => !/\p{Cs}/u.test(text), 'holds a lone surrogate'),
);

const templatePart = v.union(
  [
    v.object({ SpecialToken: v.object({ id: v.string(), type_id: typeId }) }),
    v.object({ Sequence: v.object({ id: v.picklist(['A', 'B']), type_id: typeId }) }),
  ],
  'is neither a SpecialToken nor a Sequence A or B',
);
type FilePart = v.InferOutput<typeof templatePart>;
const templateProcessing = v.object({
  type: v.literal('TemplateProcessing'),
  single: v.array(templatePart),
  pair: v.array(templatePart),
  special_tokens: v.record(v.string(), v.object({ ids: v.array(tokenId), tokens: v.array(v.string()) })),
});
const bertProcessing = v.object({
  type: v.literal('BertProcessing'),
  sep: v.tuple([v.string(), tokenId]),
  cls: v.tuple([v.string(), tokenId]),
});

/** The part of the format that BERT's tokenizers use. `truncation`, `padding` and `decoder` are nobody's business here. */
const tokenizerFile = v.object({
  // First, because the model's type says best what kind of tokenizer it is.
  model: v.object({
    // Files from before the type was written down are WordPiece if they have its other fields.
    type: v.optional(onlyType('WordPiece')),
    unk_token: v.string(),
    continuing_subword_prefix: v.string(),
    max_input_chars_per_word: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
    vocab: v.custom<Record<string, unknown>>(
      (vocab) => typeof vocab === 'object' && vocab !== null && !Array.isArray(vocab),
      'is not an object',
    ),
  }),
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
  normalizer: v.object({
    type: onlyType('BertNormalizer'),
    clean_text: v.boolean(),
    handle_chinese_chars: v.boolean(),
    strip_accents: v.nullable(v.boolean()),
    lowercase: v.boolean(),
  }),
  pre_tokenizer: v.object({ type: onlyType('BertPreTokenizer') }),
  post_processor: v.variant(
    'type',
    [templateProcessing, bertProcessing],
    (issue) => `${issue.received} is not supported, only ${issue.expected}`,
  ),
});
type TokenizerFile = v.InferOutput<typeof tokenizerFile>;

/**
 * Reads a tokenizer.json.
 * @throws EspalierError ERR_TOKENIZER where it is no such file, contradicts itself or needs something unsupported.
 */
export function parseTokenizerJson(content: string): TokenizerParts {
  const file = validate(tokenizerFile, parseJson(content));
  const { model, normalizer } = file;
  const vocabulary = checkVocabulary(Object.entries(model.vocab));
  const wordPiece = new WordPiece(vocabulary, {
    unknownToken: model.unk_token,
    continuingPrefix: model.continuing_subword_prefix,
    maxWordCharacters: model.max_input_chars_per_word,
  });
  const addedTokens = addedTokensOf(file, vocabulary);
  const ids = new Map([...vocabulary, ...addedTokens.map(({ content, id }) => [content, id] as const)]);
  return {
    addedTokens,
    normalize: bertNormalizer({
      cleanText: normalizer.clean_text,
      handleChineseChars: normalizer.handle_chinese_chars,
      stripAccents: normalizer.strip_accents,
      lowercase: normalizer.lowercase,
    }),
    preTokenize: bertPreTokenizer,
    model: wordPiece,
    template: templateOf(file.post_processor, ids),
    vocabularySize: ids.size,
  };
}

/** Added tokens that the vocabulary lacks extend it, in the file's order. */
function addedTokensOf(file: TokenizerFile, vocabulary: ReadonlyMap<string, number>): AddedToken[] {
  const seen = new Set<string>();
  let nextId = vocabulary.size;
  return file.added_tokens.map(({ id, content, single_word, lstrip, rstrip, normalized }) => {
    if (seen.has(content)) throw new EspalierError('ERR_TOKENIZER', `the added token ${content} is listed twice`);
    seen.add(content);
    const expected = vocabulary.get(content) ?? nextId++;
    if (id !== expected) {
      throw new EspalierError(
        'ERR_TOKENIZER',
        `the added token ${content} has the id ${id}, but must have ${expected}`,
      );
    }
    return { id, content, singleWord: single_word, lstrip, rstrip, normalized };
  });
}

function templateOf(processor: TokenizerFile['post_processor'], ids: ReadonlyMap<string, number>): Template {
  if (processor.type === 'BertProcessing') {
    const [classification, separator] = [processor.cls, processor.sep].map(([token, id]) => specialId(token, id, ids));
    return bertTemplate(classification, separator);
  }
  const convert = (part: FilePart): TemplatePart[] => {
    if ('Sequence' in part) {
      return [{ sequence: part.Sequence.id === 'A' ? 'first' : 'second', typeId: part.Sequence.type_id }];
    }
    const { id: name, type_id: typeId } = part.SpecialToken;
    const special = Object.hasOwn(processor.special_tokens, name) ? processor.special_tokens[name] : undefined;
    if (!special) throw new EspalierError('ERR_TOKENIZER', `post_processor: special_tokens lacks ${name}`);
    return special.ids.map((id, index) => ({ id: specialId(special.tokens[index] ?? name, id, ids), typeId }));
  };
  requireSequences('single', processor.single, 'A');
  requireSequences('pair', processor.pair, 'AB');
  return { single: processor.single.flatMap(convert), pair: processor.pair.flatMap(convert) };
}

function requireSequences(name: string, parts: readonly FilePart[], expected: string): void {
  const sequences = parts.flatMap((part) => ('Sequence' in part ? [part.Sequence.id] : []));
  if (sequences.sort().join('') !== expected) {
    const wanted = [...expected].join(' and ');
    throw new EspalierError('ERR_TOKENIZER', `post_processor: ${name} must hold the sequence ${wanted} exactly once`);
  }
}

function specialId(token: string, id: number, ids: ReadonlyMap<string, number>): number {
  if (ids.get(token) !== id) throw missingToken(`${token} of id ${id}`);
  return id;
}
