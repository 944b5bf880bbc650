import type { PackedBatch } from '../../src/native/addon.js';

/** Batches as one. */
export function joined(batches: readonly PackedBatch[]): PackedBatch {
  const offsets = [0];
  for (const { offsets: own } of batches) {
    const first = offsets.at(-1) as number;
    offsets.push(...Array.from(own.subarray(1), (offset) => first + offset));
  }
  const concat = (key: 'ids' | 'tokenTypes') => Int32Array.from(batches.flatMap((batch) => [...batch[key]]));
  return { ids: concat('ids'), tokenTypes: concat('tokenTypes'), offsets: Int32Array.from(offsets) };
}
