/** The tokens of one word: ids, and which part of the word each stands for, in UTF-16 code units. */
export interface Pieces {
  readonly ids: readonly number[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** Turns one word, which is not empty, into tokens. */
export interface TokenModel {
  tokenize(word: string): Pieces;
}
