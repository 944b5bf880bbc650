import * as v from 'valibot';
import { type AddedToken, checkAddedTokens } from './added-tokens.js';
import { tokenText } from './validate.js';
import { missingToken } from './vocabulary.js';

const flag = v.optional(v.boolean(), false);
const matchedToken = v.object({
  content: tokenText,
  single_word: flag,
  lstrip: flag,
  rstrip: flag,
  normalized: flag,
});
type MatchedToken = v.InferOutput<typeof matchedToken>;

/** A special token of tokenizer_config.json: its name alone, or with how it is matched. */
export const specialToken = (standard: string, matching: Partial<MatchedToken> = {}) =>
  v.optional(
    v.union([
      v.pipe(
        tokenText,
        v.transform((content) => ({ ...v.parse(matchedToken, { content }), ...matching })),
      ),
      matchedToken,
    ]),
    standard,
  );

/** The tokenizer class, which decides how a vocabulary without tokenizer.json is used. */
export const tokenizerClass = <const Names extends readonly string[]>(names: Names) =>
  v.optional(
    v.picklist(names, (issue) => `${issue.received} is not supported without a tokenizer.json, only ${issue.expected}`),
  );

/** tokenizer_config.json's list of added tokens, by id. */
export const addedTokensDecoder = v.optional(v.record(v.string(), matchedToken), {});

/**
 * The added tokens of a tokenizer without tokenizer.json: those listed, and the special tokens, which the vocabulary has.
 * @throws EspalierError ERR_TOKENIZER
 */
export function configuredTokens(
  specials: readonly MatchedToken[],
  listed: Record<string, MatchedToken>,
  vocabulary: ReadonlyMap<string, number>,
): AddedToken[] {
  const tokens = Object.entries(listed).map(([id, token]) => addedToken(Number(id), token));
  tokens.sort((a, b) => a.id - b.id);
  const contents = new Set(tokens.map(({ content }) => content));
  for (const token of specials) {
    if (contents.has(token.content)) continue;
    contents.add(token.content);
    const id = vocabulary.get(token.content);
    if (id === undefined) throw missingToken(token.content);
    tokens.push(addedToken(id, token));
  }
  return checkAddedTokens(tokens, vocabulary);
}

const addedToken = (id: number, { single_word: singleWord, ...token }: MatchedToken): AddedToken => ({
  id,
  singleWord,
  ...token,
});
