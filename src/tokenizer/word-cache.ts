import type { Pieces, TokenModel } from './token-model.js';

const CACHED_WORDS = 1 << 16;
// V8 copies slices this short; a longer key would keep the whole text it was cut from alive.
const CACHED_WORD_LENGTH = 12;

/** A model that remembers the words it has met, in bounded memory: most of a text's words are short and frequent. */
export class WordCache implements TokenModel {
  private readonly words = new Map<string, Pieces>();

  constructor(private readonly model: TokenModel) {}

  tokenize(word: string): Pieces {
    if (word.length > CACHED_WORD_LENGTH) return this.model.tokenize(word);
    let pieces = this.words.get(word);
    if (!pieces) {
      pieces = this.model.tokenize(word);
      if (this.words.size >= CACHED_WORDS) this.words.clear();
      this.words.set(word, pieces);
    }
    return pieces;
  }
}
