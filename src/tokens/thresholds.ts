import type { PackedBatch, TokenPruning } from '../native/addon.js';

/** @param paddedLength what importance is a mean over; 0: the sequence's own length */
export const thresholds = (values: readonly number[], paddedLength: number): TokenPruning => ({
  rule: 'threshold',
  values: [...values],
  ...overLength(paddedLength),
});

export const overLength = (paddedLength: number): Pick<TokenPruning, 'paddedLength'> =>
  paddedLength === 0 ? {} : { paddedLength };

/** Of the sequences of a batch, in whole tokens: with it importance is, in the mean, what it is over their own lengths. */
export const meanLength = ({ offsets, ids }: PackedBatch): number => Math.round(ids.length / (offsets.length - 1));
