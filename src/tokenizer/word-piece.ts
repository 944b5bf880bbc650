import { missingToken } from './vocabulary.js';

/** The tokens of one word: ids, and where each ends in the word (UTF-16 code units; the next one starts there). */
export interface Pieces {
  readonly ids: readonly number[];
  readonly ends: readonly number[];
}

/** Turns one word into tokens. */
export interface TokenModel {
  tokenize(word: string): Pieces;
}

export interface WordPieceOptions {
  unknownToken: string;
  /** Marks, in the vocabulary, a piece that continues a word. */
  continuingPrefix: string;
  /** Longer words, in characters (code points), are unknown. */
  maxWordCharacters: number;
}

const CACHED_WORDS = 1 << 16;
// V8 copies slices this short; a longer key would keep the whole text it was cut from alive.
const CACHED_WORD_LENGTH = 12;

/** Greedy longest-match-first word pieces (Wu et al. 2016, as BERT uses them). */
export class WordPiece implements TokenModel {
  private readonly continuing = new Map<string, number>();
  private readonly longestPiece: number;
  private readonly unknownId: number;
  private readonly cache = new Map<string, Pieces>();

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
    if (word.length > CACHED_WORD_LENGTH) return this.split(word);
    let pieces = this.cache.get(word);
    if (!pieces) {
      pieces = this.split(word);
      if (this.cache.size >= CACHED_WORDS) this.cache.clear();
      this.cache.set(word, pieces);
    }
    return pieces;
  }

  private split(word: string): Pieces {
    const unknown = { ids: [this.unknownId], ends: [word.length] };
    if (this.isTooLong(word)) return unknown;
    const ids: number[] = [];
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
      ends.push(end);
      start = end;
    }
    return { ids, ends };
  }

  private isTooLong(word: string): boolean {
    const limit = this.options.maxWordCharacters;
    if (word.length <= limit) return false;
    // A code point is one or two code units.
    return word.length > 2 * limit || [...word].length > limit;
  }
}
