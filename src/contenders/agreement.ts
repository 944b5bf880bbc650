import { EspalierError } from '../native/errors.js';

/** Runtimes of the same weights agree to this part of the largest logit. */
const tolerance = 1e-3;

/** The largest difference, NaN where a value is NaN or their numbers differ, and the largest expected value. */
export function compareValues(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
): { difference: number; largest: number } {
  let difference = actual.length === expected.length ? 0 : Number.NaN;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs((actual[i] as number) - (expected[i] as number)));
    largest = Math.max(largest, Math.abs(expected[i] as number));
  }
  return { difference, largest };
}

/** Throws ERR_INTERNAL unless a runtime computes the engine's logits: whoever compares speed compares the same work. */
export function checkAgreement(runtime: string, actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  const { difference, largest } = compareValues(actual, expected);
  if (difference <= tolerance * largest) return;
  const what =
    actual.length === expected.length
      ? `logits of ${runtime} and of espalier differ by ${difference.toPrecision(3)}, the largest being ${largest.toPrecision(3)}`
      : `${runtime} gives ${actual.length} logits, espalier ${expected.length}`;
  throw new EspalierError('ERR_INTERNAL', `${what} (is the model as its directory has it? then please report this)`);
}
