import t from 'tap';
import type { MaskGradients } from '../../src/native/addon.js';
import { openModel, packLabels, packSequences, perSample, readGolden, relativeError } from './support/golden.js';

const golden = readGolden('gelu.json');
// Enough tokens that the work is split, with sequences of 1 to 512 tokens on both sides.
const sequences = [...golden.sequences, ...golden.sequences.toReversed(), ...golden.sequences];
const labels = [...golden.labels, ...golden.labels.toReversed(), ...golden.labels];
const batch = packSequences(sequences);
const groups = perSample(sequences.length);

/** Row `from` of a matrix with `count` rows. */
function row(values: Float32Array, count: number, from: number): Float32Array {
  const width = values.length / count;
  return values.slice(from * width, (from + 1) * width);
}

for (const device of ['cpu', 'reference']) {
  t.test(`${device}: the number of threads does not change a bit`, async (t) => {
    const results: [Float32Array, MaskGradients][] = [];
    for (const threads of [1, 2, 3]) {
      using model = await openModel('gelu', { device, threads });
      results.push([
        await model.forward(batch),
        await model.maskGradients(batch, packLabels({ loss: golden.loss, labels }), golden.loss, groups),
      ]);
    }
    t.same(results[1], results[0]);
    t.same(results[2], results[0]);
  });

  t.test(`${device}: a sequence's results do not depend on its place or its neighbours`, async (t) => {
    using model = await openModel('gelu', { device });
    const logits = await model.forward(batch);
    const run = (part: typeof sequences, partLabels: number[]) =>
      model.maskGradients(
        packSequences(part),
        packLabels({ loss: golden.loss, labels: partLabels }),
        golden.loss,
        perSample(part.length),
      );
    const together = await run(sequences, labels);
    const count = sequences.length;
    for (const [index, sequence] of sequences.entries()) {
      const alone = await run([sequence], [labels[index] as number]);
      t.same(row(logits, count, index), await model.forward(packSequences([sequence])), `logits of ${index}`);
      t.same(row(together.heads, count, index), alone.heads, `head gradients of ${index}`);
      t.same(row(together.neurons, count, index), alone.neurons, `neuron gradients of ${index}`);
    }
  });

  t.test(`${device}: a group's gradient is the sum of its samples'`, async (t) => {
    using model = await openModel('gelu', { device });
    const packed = packLabels({ loss: golden.loss, labels });
    const single = await model.maskGradients(batch, packed, golden.loss, groups);
    const grouped = await model.maskGradients(
      batch,
      packed,
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
