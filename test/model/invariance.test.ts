import t from 'tap';
import type { MaskGradients } from '../../src/native/addon.js';
import {
  type Label,
  openModel,
  packLabels,
  packSequences,
  perSample,
  readGolden,
  relativeError,
  type Sequence,
} from './support/golden.js';

/** Row `from` of a matrix with `count` rows. */
function row(values: Float32Array, count: number, from: number): Float32Array {
  const width = values.length / count;
  return values.slice(from * width, (from + 1) * width);
}

for (const name of ['gelu', 'bert-span'] as const) {
  const golden = readGolden(`${name}.json`);
  // Enough tokens that the work is split, with sequences of one token and of the full length on both sides.
  const repeat = <T>(values: T[]): T[] => {
    const once = [...values, ...values.toReversed(), ...values];
    return name === 'gelu' ? once : Array.from({ length: 4 }, () => once).flat();
  };
  const sequences = repeat(golden.sequences);
  const labels = repeat(golden.labels);
  const batch = packSequences(sequences);
  const groups = perSample(sequences.length);
  const pack = (some: Label[]) => packLabels({ loss: golden.loss, labels: some });

  for (const device of ['cpu', 'reference']) {
    t.test(`${name} on ${device}: the number of threads does not change a bit`, async (t) => {
      const results: [Float32Array, MaskGradients][] = [];
      for (const threads of [1, 2, 3]) {
        using model = await openModel(name, { device, threads });
        results.push([await model.forward(batch), await model.maskGradients(batch, pack(labels), golden.loss, groups)]);
      }
      t.same(results[1], results[0]);
      t.same(results[2], results[0]);
    });

    t.test(`${name} on ${device}: a sequence's results do not depend on its place or its neighbours`, async (t) => {
      using model = await openModel(name, { device });
      const logits = await model.forward(batch);
      const logitsOf = (index: number) =>
        golden.loss === 'span'
          ? logits.slice(2 * (batch.offsets[index] as number), 2 * (batch.offsets[index + 1] as number))
          : row(logits, sequences.length, index);
      const run = (part: Sequence[], partLabels: Label[]) =>
        model.maskGradients(packSequences(part), pack(partLabels), golden.loss, perSample(part.length));
      const together = await run(sequences, labels);
      const count = sequences.length;
      for (const [index, sequence] of sequences.entries()) {
        const alone = await run([sequence], [labels[index] as Label]);
        t.same(logitsOf(index), await model.forward(packSequences([sequence])), `logits of ${index}`);
        t.same(row(together.heads, count, index), alone.heads, `head gradients of ${index}`);
        t.same(row(together.neurons, count, index), alone.neurons, `neuron gradients of ${index}`);
      }
    });

    t.test(`${name} on ${device}: a group's gradient is the sum of its samples'`, async (t) => {
      using model = await openModel(name, { device });
      const single = await model.maskGradients(batch, pack(labels), golden.loss, groups);
      const grouped = await model.maskGradients(
        batch,
        pack(labels),
        golden.loss,
        groups.map((sample) => Math.floor(sample / 5)),
      );
      t.same(grouped.losses, single.losses);
      for (const kind of ['heads', 'neurons'] as const) {
        const width = single[kind].length / sequences.length;
        const sums = new Float64Array(grouped[kind].length);
        for (const [index, value] of single[kind].entries()) {
          const sample = Math.floor(index / width);
          const cell = Math.floor(sample / 5) * width + (index % width);
          sums[cell] = (sums[cell] as number) + value;
        }
        t.ok(relativeError(grouped[kind], sums) < 1e-6, kind);
      }
    });
  }
}
