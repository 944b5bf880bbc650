import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';
import { byteAlphabet } from './byte-alphabet.js';
import type { Merge } from './merges.js';
import { MinHeap } from './min-heap.js';
import type { Pieces, TokenModel } from './token-model.js';
import { unitsOf } from './unicode.js';

// Rank and position share a double, which is exact below 2^53.
const POSITIONS = 2 ** 32;
const MOST_MERGES = 2 ** 21;

const encoder = new TextEncoder();

/**
 * Byte-level byte-pair encoding (Sennrich et al. 2016, Radford et al. 2019): a word starts as its UTF-8 bytes; of all
 * neighbours that may merge, those of the lowest rank do, the leftmost first, until none are left. Lone surrogates
 * count as U+FFFD. Time grows as n log n with a word's length n.
 */
export class BytePairEncoding implements TokenModel {
  private readonly byteIds: Int32Array;
  /** By the left token's id: the right token's id -> the merge's rank. */
  private readonly ranks: (Map<number, number> | undefined)[];
  /** By rank: the id of the merged token. */
  private readonly mergedIds: Int32Array;

  /** @throws EspalierError ERR_TOKENIZER where the vocabulary lacks a byte or a token of the merges. */
  constructor(vocabulary: ReadonlyMap<string, number>, merges: readonly Merge[]) {
    const idOf = (token: string): number => {
      const id = vocabulary.get(token);
      if (id === undefined) throw invalid(`the vocabulary lacks ${quote(token)}, which the merges need`);
      return id;
    };
    this.byteIds = Int32Array.from(byteAlphabet, (char, byte) => {
      const id = vocabulary.get(char);
      if (id === undefined) throw invalid(`the vocabulary lacks ${quote(char)}, which stands for the byte ${byte}`);
      return id;
    });
    if (merges.length > MOST_MERGES) throw invalid(`${merges.length} merges are more than ${MOST_MERGES}`);
    this.ranks = new Array(vocabulary.size);
    this.mergedIds = Int32Array.from(merges, ([left, right], rank) => {
      const leftId = idOf(left);
      this.ranks[leftId] ??= new Map();
      this.ranks[leftId].set(idOf(right), rank);
      return idOf(left + right);
    });
  }

  tokenize(word: string): Pieces {
    const bytes = encoder.encode(word);
    const ids = Int32Array.from(bytes, (byte) => this.byteIds[byte]);
    // The symbol that starts at byte b reaches to byte next[b]; previous[b] is where the one before it starts.
    const next = ids.map((_, byte) => byte + 1);
    const previous = ids.map((_, byte) => byte - 1);
    const queue = new MinHeap();
    // What the queue knows of a pair is out of date where its rank is another one by now.
    const rankAt = ids.map((_, byte) => this.rank(ids, byte, byte + 1));
    for (const [byte, rank] of rankAt.entries()) if (rank >= 0) queue.push(rank * POSITIONS + byte);

    const update = (left: number) => {
      rankAt[left] = this.rank(ids, left, next[left]);
      if (rankAt[left] >= 0) queue.push(rankAt[left] * POSITIONS + left);
    };
    for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
      const rank = Math.floor(key / POSITIONS);
      const left = key % POSITIONS;
      if (rankAt[left] !== rank) continue;
      const right = next[left];
      ids[left] = this.mergedIds[rank];
      next[left] = next[right];
      if (next[left] < previous.length) previous[next[left]] = left;
      rankAt[right] = -1;
      update(left);
      if (left > 0) update(previous[left]);
    }
    return piecesOf(word, ids, next);
  }

  private rank(ids: Int32Array, left: number, right: number): number {
    return right < ids.length ? (this.ranks[ids[left]]?.get(ids[right]) ?? -1) : -1;
  }
}

/** The symbols that are left, each with the characters it holds a byte of. */
function piecesOf(word: string, symbols: Int32Array, next: Int32Array): Pieces {
  const characterStart = new Int32Array(symbols.length);
  const characterEnd = new Int32Array(symbols.length);
  let byte = 0;
  for (let start = 0; start < word.length; ) {
    const point = word.codePointAt(start) as number;
    const end = start + unitsOf(point);
    const size = utf8Length(point);
    characterStart.fill(start, byte, byte + size);
    characterEnd.fill(end, byte, byte + size);
    byte += size;
    start = end;
  }
  const ids: number[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  for (let symbol = 0; symbol < symbols.length; symbol = next[symbol]) {
    ids.push(symbols[symbol]);
    starts.push(characterStart[symbol]);
    ends.push(characterEnd[next[symbol] - 1]);
  }
  return { ids, starts, ends };
}

const utf8Length = (point: number): number => (point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4);

const invalid = (what: string): EspalierError => new EspalierError('ERR_TOKENIZER', what);
