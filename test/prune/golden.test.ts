import t from 'tap';
import type { LossKind } from '../../src/native/addon.js';
import { compact } from '../../src/prune/compact.js';
import { type Calibration, miniBatchGradients } from '../../src/prune/fisher.js';
import { studyKwon } from '../../src/prune/kwon.js';
import {
  type Label,
  openModel,
  packLabels,
  packMask,
  packSequences,
  readGolden,
  relativeError,
} from '../model/support/golden.js';

interface GoldenMask {
  heads: number[][];
  neurons: number[][];
}

/** Every step of the method on a tiny model, from PyTorch in float64. */
interface GoldenPruning {
  loss: LossKind;
  sequences: { ids: number[]; types: number[] }[];
  labels: Label[];
  batchSize: number;
  sequenceLength: number;
  /** [batches][layers][units] */
  headGradients: number[][][];
  neuronGradients: number[][][];
  runs: {
    keep: number;
    searched: GoldenMask;
    teacher: GoldenMask;
    rearranged: GoldenMask;
    /** 0 where a unit was pruned. */
    scales: GoldenMask;
    logits: number[][];
  }[];
}

const flat = ({ heads, neurons }: GoldenMask) => packMask({ heads: heads.flat(), neurons: neurons.flat() });

for (const name of ['gelu', 'regression', 'bert-span'] as const) {
  for (const [device, tolerance] of [
    ['reference', 1e-5],
    ['cpu', 1e-3],
  ] as const) {
    t.test(`kwon on ${name}, device ${device}`, async (t) => {
      const golden = readGolden<GoldenPruning>(`${name}-kwon.json`);
      const calibration: Calibration = { batch: packSequences(golden.sequences), labels: packLabels(golden) };
      using model = await openModel(name, { device, mode: 'inference' });

      const gradients = await miniBatchGradients(model, calibration, golden);
      t.ok(relativeError(gradients.heads, golden.headGradients.flat(2)) < tolerance, 'head gradients');
      t.ok(relativeError(gradients.neurons, golden.neuronGradients.flat(2)) < tolerance, 'neuron gradients');

      const pruneTo = await studyKwon(model, calibration, golden);
      for (const { keep, searched, teacher, rearranged, scales, logits } of golden.runs) {
        const outcome = await pruneTo(keep, {});
        using pruned = outcome.model;
        t.same(outcome.masks.search, flat(searched), `search at ${keep}`);
        t.same(outcome.masks.teacher, flat(teacher), `teacher's search at ${keep}`);
        t.same(outcome.masks.rearrange, flat(rearranged), `rearrangement at ${keep}`);
        for (const { layer, sublayer, scales: found } of outcome.tuned) {
          const expected = scales[sublayer === 'attention' ? 'heads' : 'neurons'][layer]?.filter(
            (scale) => scale !== 0,
          );
          const error = relativeError(found, expected ?? []);
          t.ok(error < tolerance, `scales of ${sublayer} ${layer} at ${keep}: ${error}`);
        }
        const error = relativeError(await pruned.forward(calibration.batch), logits.flat());
        t.ok(error < tolerance, `logits at ${keep}: ${error}`);
      }
    });
  }
}

t.test('the model after each step gives what its mask gives', async (t) => {
  const golden = readGolden<GoldenPruning>('gelu-kwon.json');
  const calibration: Calibration = { batch: packSequences(golden.sequences), labels: packLabels(golden) };
  using model = await openModel('gelu', { device: 'cpu' });
  for (const { searched, rearranged } of golden.runs) {
    for (const mask of [searched, rearranged]) {
      using compacted = await compact(model, flat(mask), 'inference');
      const masked = await model.forward(calibration.batch, { mask: flat(mask) });
      t.ok(relativeError(await compacted.forward(calibration.batch), masked) < 1e-5);
    }
  }
});
