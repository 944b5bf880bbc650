import type { Pieces, TokenModel } from './token-model.js';
import { missingToken } from './vocabulary.js';

export interface WordPieceOptions {
  unknownToken: string;
  /** Marks, in the vocabulary, a piece that continues a word. */
  continuingPrefix: string;
  /** Longer words, in characters (code points), are unknown. */
  maxWordCharacters: number;
}

/** Greedy longest-match-first word pieces (Wu et al. 2016, as BERT uses them). */
export class WordPiece implements TokenModel {
  private readonly continuing = new Map<string, number>();
  private readonly longestPiece: number;
  private readonly unknownId: number;

  constructor(
    private readonly vocabulary: ReadonlyMap<string, number>,
    private readonly options: WordPieceOptions,
  ) {
    const unknownId = vocabulary.get(options.unknownToken);
    if (unknownId === undefined) throw missingToken(options.unknownToken);
    this.unknownId = unknownId;
    let longest = 0;
    for (const [token, id] of vocabulary) {
      longest = Math.max(longest, token.length);
      if (token.startsWith(options.continuingPrefix)) {
        this.continuing.set(token.slice(options.continuingPrefix.length), id);
      }
    }
    this.longestPiece = longest;
  }

  tokenize(word: string): Pieces {
    const unknown = { ids: [this.unknownId], starts: [0], ends: [word.length] };
    if (this.isTooLong(word)) return unknown;
    const ids: number[] = [];
    const starts: number[] = [];
    const ends: number[] = [];
    for (let start = 0; start < word.length; ) {
      const pieces = start === 0 ? this.vocabulary : this.continuing;
      let end = Math.min(word.length, start + this.longestPiece);
      let id: number | undefined;
      while (end > start) {
        id = pieces.get(word.slice(start, end));
        if (id !== undefined) break;
        end--;
      }
      if (id === undefined) return unknown;
      ids.push(id);
      starts.push(start);
      ends.push(end);
      start = end;
    }
    return { ids, starts, ends };
  }

  private isTooLong(word: string): boolean {
    const limit = this.options.maxWordCharacters;
    if (word.length <= limit) return false;
    // A code point is one or two code units.
    return word.length > 2 * limit || [...word].length > limit;
  }
}
