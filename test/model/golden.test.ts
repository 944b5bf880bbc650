import t from 'tap';
import {
  type Golden,
  goldenModels,
  openModel,
  packLabels,
  packMask,
  packSequences,
  perSample,
  readGolden,
  relativeError,
} from './support/golden.js';

/** Largest error relative to the largest value: the reference computes in double and answers in float32. */
const tolerances = { reference: 2e-7, cpu: 5e-6 };

for (const [device, tolerance] of Object.entries(tolerances)) {
  for (const name of goldenModels) {
    t.test(`${name} on ${device} computes what PyTorch computes in float64`, async (t) => {
      const golden = readGolden(`${name}.json`);
      using model = await openModel(name, { device });
      const batch = packSequences(golden.sequences);
      const groups = perSample(golden.sequences.length);
      for (const expected of golden.cases) {
        const options = { mask: packMask(expected.mask) };
        const logits = await model.forward(batch, options);
        const gradients = await model.maskGradients(batch, packLabels(golden), golden.loss, groups, options);
        const errors = {
          logits: relativeError(logits, expected.logits.flat()),
          losses: relativeError(gradients.losses, expected.losses),
          headGradients: relativeError(gradients.heads, expected.headGradients.flat()),
          neuronGradients: relativeError(gradients.neurons, expected.neuronGradients.flat()),
        };
        for (const [what, error] of Object.entries(errors)) {
          t.ok(error <= tolerance, `${what} at mask "${expected.name}"`, { error, tolerance });
        }
      }
    });
  }

  for (const name of ['gelu', 'regression', 'bert-span'] as const) {
    t.test(`${name} on ${device} sums gradients over mini-batches`, async (t) => {
      const golden = readGolden<
        Omit<Golden, 'cases'> & { batchSize: number; headGradients: number[][][]; neuronGradients: number[][][] }
      >(`${name}-kwon.json`);
      using model = await openModel(name, { device });
      const { batchSize } = golden;
      const groups = perSample(golden.sequences.length).map((sample) => Math.floor(sample / batchSize));
      const batch = packSequences(golden.sequences);
      const gradients = await model.maskGradients(batch, packLabels(golden), golden.loss, groups);
      for (const [sums, means] of [
        [gradients.heads, golden.headGradients],
        [gradients.neurons, golden.neuronGradients],
      ] as const) {
        const error = relativeError(
          sums.map((sum) => sum / batchSize),
          means.flat(2),
        );
        t.ok(error <= tolerance, 'mean over each mini-batch', { error, tolerance });
      }
    });
  }
}

t.test('without a mask every unit counts fully', async (t) => {
  const { sequences } = readGolden('gelu.json');
  using model = await openModel('gelu');
  const batch = packSequences(sequences);
  const ones = { heads: new Float32Array(15).fill(1), neurons: new Float32Array(183).fill(1) };
  t.same(await model.forward(batch), await model.forward(batch, { mask: ones }));
});
