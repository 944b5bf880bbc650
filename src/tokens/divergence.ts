import type { LossKind, PackedBatch } from '../native/addon.js';
import { mean } from '../statistics.js';

/**
 * How far each sequence's logits have moved from where they were: the Kullback-Leibler divergence of the distributions
 * over classes, or over a sequence's tokens for either end of a span; of a value the squared difference.
 *
 * @param before and after: [sequences, labels], of spans [tokens, 2]
 */
export function divergences(
  before: Float32Array,
  after: Float32Array,
  loss: LossKind,
  { offsets }: Pick<PackedBatch, 'offsets'>,
): number[] {
  const sequences = offsets.length - 1;
  const labels = before.length / sequences;
  return Array.from({ length: sequences }, (_, s) => {
    if (loss === 'meanSquared') return ((before[s] as number) - (after[s] as number)) ** 2;
    if (loss === 'crossEntropy') return relativeEntropy(before, after, s * labels, labels, 1);
    const [first, end] = [offsets[s] as number, offsets[s + 1] as number];
    const [start, stop] = [0, 1].map((column) => relativeEntropy(before, after, 2 * first + column, end - first, 2));
    return ((start as number) + (stop as number)) / 2;
  });
}

/** The mean over sequences. */
export const divergence = (...moved: Parameters<typeof divergences>): number => mean(divergences(...moved));

/** Of softmax(before) with respect to softmax(after): `count` logits from `first` on, `step` apart. */
function relativeEntropy(
  before: Float32Array,
  after: Float32Array,
  first: number,
  count: number,
  step: number,
): number {
  const [p, q] = [before, after].map((logits) => logProbabilities(logits, first, count, step)) as [number[], number[]];
  return p.reduce((sum, log, i) => sum + Math.exp(log) * (log - (q[i] as number)), 0);
}

function logProbabilities(logits: Float32Array, first: number, count: number, step: number): number[] {
  const own = Array.from({ length: count }, (_, i) => logits[first + i * step] as number);
  const largest = own.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const logSum = largest + Math.log(own.reduce((sum, value) => sum + Math.exp(value - largest), 0));
  return own.map((value) => value - logSum);
}
