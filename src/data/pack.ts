import type { PackedBatch } from '../native/addon.js';

/** Joins sequences without padding, in order. */
export function packSequences(sequences: readonly Record<'ids' | 'typeIds', ArrayLike<number>>[]): PackedBatch {
  const offsets = new Int32Array(sequences.length + 1);
  for (const [index, { ids }] of sequences.entries()) offsets[index + 1] = (offsets[index] as number) + ids.length;
  const ids = new Int32Array(offsets.at(-1) as number);
  const tokenTypes = new Int32Array(ids.length);
  for (const [index, sequence] of sequences.entries()) {
    ids.set(sequence.ids, offsets[index]);
    tokenTypes.set(sequence.typeIds, offsets[index]);
  }
  return { ids, tokenTypes, offsets };
}
