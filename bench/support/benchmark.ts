import type { PyTorch } from './pytorch.js';

export interface BenchContext {
  threads: number;
  rounds: number;
  /** Fewer and shorter measurements, to see that everything runs. */
  quick: boolean;
  /** Present when a Python that has torch and transformers was given. */
  pytorch: PyTorch | undefined;
  /** Says on stderr what is going on. */
  log(message: string): void;
}

/** One line of a result: what was measured, and figures by name. */
export type Row = Record<string, string | number>;

/** Verifies first, then measures. */
export interface Benchmark {
  name: string;
  title: string;
  run(context: BenchContext): Promise<Row[]>;
}

export class VerificationError extends Error {}

/** Throws unless the contenders agree: the largest difference, as a part of the largest value, stays within tolerance. */
export function verify(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  let difference = actual.length === expected.length ? 0 : Number.NaN;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs((actual[i] as number) - (expected[i] as number)));
    largest = Math.max(largest, Math.abs(expected[i] as number));
  }
  if (!(difference <= tolerance * largest)) {
    throw new VerificationError(`${what} disagree by ${difference}, values being up to ${largest}`);
  }
}
