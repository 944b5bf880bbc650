import t from 'tap';
import type { KeptUnits, Mask, ModelSpec } from '../../src/native/addon.js';
import {
  goldenModels,
  openModel,
  packLabels,
  packMask,
  packSequences,
  perSample,
  readGolden,
  relativeError,
} from './support/golden.js';

const TOLERANCE = 2e-6;

/** The units whose mask is not 0, layer by layer. */
function keptUnits(spec: ModelSpec, mask: Mask): KeptUnits {
  const split = (values: Float32Array, widths: number[]) => {
    let first = 0;
    return widths.map((width) => {
      const layer = values.subarray(first, first + width);
      first += width;
      return [...layer.keys()].filter((unit) => layer[unit] !== 0);
    });
  };
  return {
    heads: split(
      mask.heads,
      spec.layers.map(({ heads }) => heads),
    ),
    neurons: split(
      mask.neurons,
      spec.layers.map(({ neurons }) => neurons),
    ),
  };
}

/** The columns of kept units, from a matrix with a column per unit. */
function keptColumns(values: Float32Array, mask: Float32Array): Float32Array {
  return values.filter((_, index) => mask[index % mask.length] !== 0);
}

/** 0 and 1 in no particular pattern. */
const scattered = (size: number) =>
  Float32Array.from({ length: size }, (_, index) => ((index * 7 + 3) % 10 < 6 ? 1 : 0));

const masks: Record<string, (spec: ModelSpec, emptied: Mask) => Mask> = {
  'scattered units': (_, { heads, neurons }) => ({
    heads: scattered(heads.length),
    neurons: scattered(neurons.length),
  }),
  'whole sub-layers': (_, emptied) => emptied,
  everything: (_, { heads, neurons }) => ({
    heads: new Float32Array(heads.length),
    neurons: new Float32Array(neurons.length),
  }),
  nothing: (_, { heads, neurons }) => ({ heads: heads.map(() => 1), neurons: neurons.map(() => 1) }),
};

for (const device of ['cpu', 'reference']) {
  for (const name of goldenModels) {
    const golden = readGolden(`${name}.json`);
    const emptied = golden.cases.find((c) => c.name === 'emptied') as (typeof golden.cases)[0];
    const batch = packSequences(golden.sequences);
    const groups = perSample(golden.sequences.length);

    for (const [what, makeMask] of Object.entries(masks)) {
      t.test(`${name} on ${device}: removing ${what} equals masking them`, async (t) => {
        using model = await openModel(name, { device });
        const mask = makeMask(model.spec, packMask(emptied.mask));
        const kept = keptUnits(model.spec, mask);
        using small = await model.select(kept, 'gradients');
        t.same(
          small.spec.layers,
          kept.heads.map((heads, layer) => ({ heads: heads.length, neurons: kept.neurons[layer]?.length })),
        );
        t.ok(relativeError(await small.forward(batch), await model.forward(batch, { mask })) < TOLERANCE, 'logits');
        const labels = packLabels(golden);
        const masked = await model.maskGradients(batch, labels, golden.loss, groups, { mask });
        const compact = await small.maskGradients(batch, labels, golden.loss, groups);
        t.ok(relativeError(compact.losses, masked.losses) < TOLERANCE, 'losses');
        t.ok(relativeError(compact.heads, keptColumns(masked.heads, mask.heads)) < TOLERANCE, 'head gradients');
        t.ok(relativeError(compact.neurons, keptColumns(masked.neurons, mask.neurons)) < TOLERANCE, 'neuron gradients');
      });
    }

    t.test(`${name} on ${device}: a model without some sub-layers equals PyTorch's masked one`, async (t) => {
      using model = await openModel(name, { device });
      using small = await model.select(keptUnits(model.spec, packMask(emptied.mask)), 'inference');
      t.ok(relativeError(await small.forward(batch), emptied.logits.flat()) < 5e-6);
    });

    t.test(`${name} on ${device}: scaling units equals masking with the scales`, async (t) => {
      const partial = golden.cases.find((c) => c.name === 'partial') as (typeof golden.cases)[0];
      using model = await openModel(name, { device, mode: 'inference' });
      let heads = 0;
      let neurons = 0;
      for (const [layer, shape] of model.spec.layers.entries()) {
        const take = (values: number[], first: number, count: number) =>
          Float64Array.from(values.slice(first, first + count));
        await model.scaleUnits(layer, 'attention', take(partial.mask.heads, heads, shape.heads));
        await model.scaleUnits(layer, 'ffn', take(partial.mask.neurons, neurons, shape.neurons));
        heads += shape.heads;
        neurons += shape.neurons;
      }
      t.ok(relativeError(await model.forward(batch), partial.logits.flat()) < 5e-6);
    });
  }
}
