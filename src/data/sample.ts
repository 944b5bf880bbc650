import { EspalierError } from '../native/errors.js';
import { Random } from './random.js';

/** Indices of `count` of `population` rows drawn with replacement, the same for a seed on every machine. */
export function sampleIndices(population: number, count: number, seed: number): Int32Array {
  if (population < 1) throw new EspalierError('ERR_DATA', 'there are no examples to draw samples from');
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new EspalierError('ERR_INVALID_ARGUMENT', `${count} samples cannot be drawn (give 1 or more)`);
  }
  const random = new Random(seed);
  return Int32Array.from({ length: count }, () => random.below(population));
}
