import type { Example } from '../data/examples.js';
import type { Encoding, Tokenizer } from '../tokenizer/tokenizer.js';

/** The part of a Task that all those share whose examples are one sequence with one label. */
export const oneSequence = {
  miniBatch: 32,
  countSequences: (): number => 1,
  encode: ({ text, pair }: Example, tokenizer: Tokenizer, maxLength: number): Encoding[] => [
    tokenizer.encode(text, pair, { maxLength }),
  ],
  targets: (label: number): number[] => [label],
};

/** GLUE's submission format (gluebenchmark.com): one line an example, counted from 0. */
export function submissionLines(predictions: readonly (string | number)[]): string {
  return ['index\tprediction', ...predictions.map((prediction, index) => `${index}\t${prediction}`), ''].join('\n');
}

/** A data file's label as text; empty for what cannot be one. */
export const labelText = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value).trim() : '';
