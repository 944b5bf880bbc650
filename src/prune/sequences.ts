import type { PackedBatch } from '../native/addon.js';

/** Sequences from .. to - 1 of a batch. */
export function sequences({ ids, tokenTypes, offsets }: PackedBatch, from: number, to: number): PackedBatch {
  const [start, end] = [offsets[from] as number, offsets[to] as number];
  return {
    ids: ids.slice(start, end),
    tokenTypes: tokenTypes.slice(start, end),
    offsets: offsets.slice(from, to + 1).map((offset) => offset - start),
  };
}
