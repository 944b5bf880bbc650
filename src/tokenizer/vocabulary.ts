import { EspalierError } from '../native/errors.js';

/**
 * Checks that every token is a string of whole characters and that the ids are exactly 0 .. size - 1, because they
 * index the rows of the embedding matrix.
 * @throws EspalierError ERR_TOKENIZER
 */
export function checkVocabulary(entries: readonly (readonly [string, unknown])[]): Map<string, number> {
  const size = entries.length;
  if (size === 0) throw invalid('is empty');
  const tokenOf: string[] = new Array(size);
  const vocabulary = new Map<string, number>();
  for (const [token, id] of entries) {
    if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0) {
      throw invalid(`gives ${quote(token)} the id ${JSON.stringify(id)}, which is not a whole number from 0`);
    }
    if (id >= size) throw invalid(`has holes: ${size} tokens, but ${quote(token)} has the id ${id}`);
    if (tokenOf[id] !== undefined)
      throw invalid(`gives the id ${id} to both ${quote(tokenOf[id])} and ${quote(token)}`);
    if (vocabulary.has(token)) throw invalid(`lists ${quote(token)} twice`);
    if (/\p{Cs}/u.test(token)) throw invalid(`has a lone surrogate in the token of id ${id}`);
    tokenOf[id] = token;
    vocabulary.set(token, id);
  }
  return vocabulary;
}

/** The ids of all tokens: the vocabulary's, and the added ones that it lacks. */
export const idsOf = (
  vocabulary: ReadonlyMap<string, number>,
  addedTokens: readonly { content: string; id: number }[],
): ReadonlyMap<string, number> =>
  new Map([...vocabulary, ...addedTokens.map(({ content, id }) => [content, id] as const)]);

/** The error of a special token that the vocabulary must hold but does not. */
export const missingToken = (token: string): EspalierError =>
  new EspalierError('ERR_TOKENIZER', `the special token ${token} is not in the vocabulary`);

const invalid = (what: string): EspalierError => new EspalierError('ERR_TOKENIZER', `the vocabulary ${what}`);
const quote = (token: string): string => JSON.stringify(token.length > 40 ? `${token.slice(0, 40)}…` : token);
