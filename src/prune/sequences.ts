import { packSequences } from '../data/pack.js';
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

/** A batch without every `step`-th sequence, and these; the whole of a batch of fewer. */
export function holdOut(batch: PackedBatch, step: number): PackedBatch[] {
  const indices = Array.from({ length: batch.offsets.length - 1 }, (_, index) => index);
  if (indices.length < step) return [batch];
  const isHeldOut = (index: number) => index % step === step - 1;
  return [
    select(
      batch,
      indices.filter((index) => !isHeldOut(index)),
    ),
    select(batch, indices.filter(isHeldOut)),
  ];
}

function select({ ids, tokenTypes, offsets }: PackedBatch, indices: readonly number[]): PackedBatch {
  return packSequences(
    indices.map((index) => {
      const [start, end] = [offsets[index], offsets[index + 1]];
      return { ids: ids.subarray(start, end), typeIds: tokenTypes.subarray(start, end) };
    }),
  );
}
