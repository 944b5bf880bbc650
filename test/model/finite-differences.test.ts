import t from 'tap';
import type { Mask } from '../../src/native/addon.js';
import {
  goldenModels,
  openModel,
  packLabels,
  packMask,
  packSequences,
  perSample,
  readGolden,
} from './support/golden.js';

/** Balances the curvature of the loss and the kinks of ReLU against the float32 rounding of the losses compared. */
const STEP = 2 ** -9;
const TOLERANCE = 2e-3;

for (const name of goldenModels) {
  t.test(`${name}: mask gradients are the slope of the loss`, async (t) => {
    const golden = readGolden(`${name}.json`);
    using model = await openModel(name, { device: 'reference' });
    const count = 4;
    const batch = packSequences(golden.sequences.slice(3, 3 + count));
    const labels = packLabels({ ...golden, labels: golden.labels.slice(3, 3 + count) });
    const mask = packMask((golden.cases.find((c) => c.name === 'partial') as (typeof golden.cases)[0]).mask);
    const run = (at: Mask) => model.maskGradients(batch, labels, golden.loss, perSample(count), { mask: at });
    const gradients = await run(mask);

    for (const [kind, every] of [
      ['heads', 1],
      ['neurons', 11],
    ] as const) {
      const width = mask[kind].length;
      const largest = gradients[kind].reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      let worst = 0;
      for (let unit = 0; unit < width; unit += every) {
        const losses = async (value: number) => {
          const moved = { heads: mask.heads.slice(), neurons: mask.neurons.slice() };
          moved[kind][unit] = value;
          return (await run(moved)).losses;
        };
        const value = mask[kind][unit] as number;
        const [above, below] = [await losses(value + STEP), await losses(value - STEP)];
        for (let sample = 0; sample < count; sample++) {
          const slope = ((above[sample] as number) - (below[sample] as number)) / (2 * STEP);
          worst = Math.max(worst, Math.abs(slope - (gradients[kind][sample * width + unit] as number)) / largest);
        }
      }
      t.ok(worst < TOLERANCE, kind, { worst });
    }
  });
}
