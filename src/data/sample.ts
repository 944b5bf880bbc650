import { EspalierError } from '../native/errors.js';
import { Random } from './random.js';

/** Indices of `count` of `population` rows drawn with replacement, the same for a seed on every machine. */
export function sampleIndices(population: number, count: number, seed: number): Int32Array {
  checkCounts(population, count);
  const random = new Random(seed);
  return Int32Array.from({ length: count }, () => random.below(population));
}

/**
 * `count` different indices, or all where there are fewer, each drawn with a probability in proportion to its weight: the
 * smallest of exponential variates of these rates (Efraimidis and Spirakis 2006). Ascending.
 */
export function weightedIndices(weights: readonly number[], count: number, seed: number): Int32Array {
  checkCounts(weights.length, count);
  const random = new Random(seed);
  const keys = weights.map((weight) => -Math.log((random.next() + 1) / 2 ** 32) / Math.max(weight, 1));
  const order = Array.from(keys.keys()).sort((a, b) => (keys[a] as number) - (keys[b] as number) || a - b);
  return Int32Array.from(order.slice(0, count)).sort();
}

function checkCounts(population: number, count: number): void {
  if (population < 1) throw new EspalierError('ERR_DATA', 'there are no examples to draw samples from');
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new EspalierError('ERR_INVALID_ARGUMENT', `${count} samples cannot be drawn (give 1 or more)`);
  }
}
