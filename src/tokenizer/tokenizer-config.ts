import * as v from 'valibot';
import { EspalierError } from '../native/errors.js';
import type { BertNormalizerOptions } from './bert-normalizer.js';
import {
  type ConfiguredToken,
  plainToken,
  type SpecialName,
  type SpecialToken,
  specialNames,
  standardTokens,
  textOf,
} from './special-tokens.js';
import { kindOfModel, type TokenizerKind, tokenizerClass } from './tokenizer-kind.js';
import { naming, parseJson, tokenId, tokenText, validate } from './validate.js';

/** What the files beside tokenizer.json or the vocabulary say. */
export interface TokenizerConfig {
  /** Absent where neither a tokenizer class nor a model is named. */
  kind?: TokenizerKind;
  /** Of BERT's text: what a tokenizer.json may say otherwise. */
  normalizer: Omit<BertNormalizerOptions, 'cleanText'>;
  prefixSpace: boolean;
  trimOffsets: boolean;
  /** Null: there is none, not even the one that the kind has otherwise. */
  named: Partial<Record<SpecialName, SpecialToken | null>>;
  /** Special tokens without names. */
  unnamed: SpecialToken[];
  /** The added tokens by their ids, where tokenizer_config.json lists them. */
  listed?: Map<number, ConfiguredToken>;
  /** Those of added_tokens.json, which older checkpoints have instead. */
  formerlyListed: Map<number, ConfiguredToken>;
}

/** The contents of the files that are there. */
export type ConfigFiles = Partial<Record<(typeof configFiles)[number], string>>;
export const configFiles = [
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'config.json',
] as const;

const matchedToken = (isSpecial: boolean) => {
  const flag = v.optional(v.boolean(), false);
  const special = v.optional(v.boolean(), isSpecial);
  const normalized = v.optional(v.boolean());
  return v.pipe(
    v.object({ content: tokenText, single_word: flag, lstrip: flag, rstrip: flag, normalized, special }),
    v.transform(({ single_word: singleWord, ...token }): ConfiguredToken => ({ ...token, singleWord })),
  );
};

const specialToken = (isSpecial: boolean) => v.union([tokenText, matchedToken(isSpecial)]);
const specialTokens = (isSpecial: boolean) => {
  const token = specialToken(isSpecial);
  const named = v.entriesFromList(specialNames, v.nullish(token));
  return v.object({ ...named, additional_special_tokens: v.nullish(v.array(token)) });
};

const tokenizerConfig = v.object({
  tokenizer_class: tokenizerClass,
  do_lower_case: v.nullish(v.boolean(), true),
  strip_accents: v.nullish(v.boolean(), null),
  tokenize_chinese_chars: v.nullish(v.boolean(), true),
  add_prefix_space: v.nullish(v.boolean(), false),
  trim_offsets: v.nullish(v.boolean(), true),
  split_special_tokens: v.nullish(v.literal(false, 'true is not supported')),
  // An object in transformers 4, a list in transformers 5.
  extra_special_tokens: v.nullish(
    v.union([v.array(specialToken(false)), v.record(v.string(), specialToken(false))]),
    [],
  ),
  added_tokens_decoder: v.optional(v.record(v.string(), matchedToken(false))),
});
const addedTokens = v.record(tokenText, tokenId);
const modelConfig = v.object({ tokenizer_class: tokenizerClass, model_type: v.optional(v.unknown()) });

/**
 * Reads the files as transformers does: special_tokens_map.json, which then wins, and added_tokens.json count only where
 * tokenizer_config.json has no added_tokens_decoder.
 * @throws EspalierError ERR_TOKENIZER
 */
export function parseTokenizerConfig(files: ConfigFiles): TokenizerConfig {
  const read = <const Schema extends v.GenericSchema>(name: keyof ConfigFiles, schema: Schema) =>
    naming(name, () => validate(schema, parseJson(files[name] ?? '{}')));
  const config = read('tokenizer_config.json', tokenizerConfig);
  const model = read('config.json', modelConfig);
  const decoder = config.added_tokens_decoder;
  const configured = read('tokenizer_config.json', specialTokens(false));
  const mapped = decoder ? {} : read('special_tokens_map.json', specialTokens(true));
  const { additional_special_tokens: _, ...named } = { ...configured, ...mapped };
  const unnamed = [configured, mapped].flatMap(({ additional_special_tokens: tokens }) => tokens ?? []);
  const specials = new Set([...Object.values(named), ...unnamed].map((token) => token && textOf(token)));
  const formerly = Object.entries(decoder ? {} : read('added_tokens.json', addedTokens));
  return {
    kind: config.tokenizer_class ?? model.tokenizer_class ?? kindOfModel.get(model.model_type),
    normalizer: {
      lowercase: config.do_lower_case,
      stripAccents: config.strip_accents,
      handleChineseChars: config.tokenize_chinese_chars,
    },
    prefixSpace: config.add_prefix_space,
    trimOffsets: config.trim_offsets,
    named,
    unnamed: [...unnamed, ...Object.values(config.extra_special_tokens)],
    listed: decoder && new Map(Object.entries(decoder).map(([id, token]) => [Number(id), token])),
    formerlyListed: new Map(formerly.map(([content, id]) => [id, formerToken(content, specials.has(content))])),
  };
}

const formerToken = (content: string, special: boolean): ConfiguredToken => ({
  ...plainToken(content, special),
  normalized: !special,
});

/** What a special token is called that a tokenizer needs. @throws EspalierError ERR_TOKENIZER where it has none. */
export function requiredToken({ kind = 'plain', named }: TokenizerConfig, name: SpecialName): string {
  const { [name]: token = standardTokens[kind][name] } = named;
  if (!token) throw new EspalierError('ERR_TOKENIZER', `${name}: none is not supported without a tokenizer.json`);
  return textOf(token);
}
