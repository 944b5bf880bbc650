import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';

/** Two tokens that become one. A merge ranks by its place in the list. */
export type Merge = readonly [left: string, right: string];

/** Reads merges written as "a b" or as ["a", "b"]. @throws EspalierError ERR_TOKENIZER */
export function readMerges(values: readonly unknown[]): Merge[] {
  const merges = values.filter((value) => typeof value !== 'string' || !value.startsWith('#version'));
  return merges.map((value, rank) => {
    const pair = typeof value === 'string' ? value.split(' ') : value;
    if (!isPair(pair)) throw invalid(`merge ${rank}, ${quote(value)}, is no pair of tokens`);
    return pair;
  });
}

/** The merges of a merges.txt. @throws EspalierError ERR_TOKENIZER */
export function parseMergesTxt(mergesTxt: string): Merge[] {
  const lines = mergesTxt.split(/\r?\n/);
  // Readers differ in what they make of the first line otherwise.
  if (!lines[0].startsWith('#version')) throw invalid('merges.txt must begin with a line "#version"');
  // Readers of RoBERTa's files leave out what follows the last line break.
  lines.pop();
  return readMerges(lines);
}

const isPair = (value: unknown): value is Merge =>
  Array.isArray(value) && value.length === 2 && value.every((token) => typeof token === 'string');

const invalid = (what: string): EspalierError => new EspalierError('ERR_TOKENIZER', what);
