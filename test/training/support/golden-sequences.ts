import type { LabelledSequences } from '../../../src/tasks/calibration.js';
import { type GoldenName, packLabels, packSequences, readGolden, type Sequence } from '../../model/support/golden.js';

/** Sequences of a golden model with their labels, as a training takes them. */
export function goldenSequences(name: GoldenName): LabelledSequences {
  const { sequences, labels, loss } = readGolden(`${name}.json`);
  const take = (indices: Iterable<number>) => {
    const drawn = [...indices];
    return {
      batch: packSequences(drawn.map((index) => sequences[index] as Sequence)),
      labels: packLabels({ loss, labels: drawn.map((index) => labels[index] as (typeof labels)[0]) }),
    };
  };
  return { count: sequences.length, take } as LabelledSequences;
}
