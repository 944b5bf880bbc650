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
  const ends: number[] = [0];
  for (const index of indices) {
    ends.push((ends.at(-1) as number) + (offsets[index + 1] as number) - (offsets[index] as number));
  }
  const selected = {
    ids: new Int32Array(ends.at(-1) as number),
    tokenTypes: new Int32Array(ends.at(-1) as number),
    offsets: Int32Array.from(ends),
  };
  for (const [place, index] of indices.entries()) {
    const [start, end] = [offsets[index] as number, offsets[index + 1] as number];
    selected.ids.set(ids.subarray(start, end), ends[place]);
    selected.tokenTypes.set(tokenTypes.subarray(start, end), ends[place]);
  }
  return selected;
}
