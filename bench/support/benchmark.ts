import { compareValues } from '../../src/contenders/agreement.js';

export interface BenchContext {
  threads: number;
  rounds: number;
  /** Fewer and shorter measurements, to see that everything runs. */
  quick: boolean;
  /** A Python that has torch and transformers, when one was given. */
  python: string | undefined;
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
  const { difference, largest } = compareValues(actual, expected);
  if (!(difference <= tolerance * largest)) {
    throw new VerificationError(`${what} disagree by ${difference}, values being up to ${largest}`);
  }
}
