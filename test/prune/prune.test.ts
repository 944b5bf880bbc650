import t from 'tap';
import type { Calibration } from '../../src/prune/fisher.js';
import { studyKwon } from '../../src/prune/kwon.js';
import { modelMacs, unitMacs } from '../../src/prune/macs.js';
import type { PruneModelOptions } from '../../src/prune/preset.js';
import { pruneModel } from '../../src/prune/prune.js';
import { tune } from '../../src/prune/tune.js';
import { fullMask } from '../../src/prune/units.js';
import { openModel, packLabels, packSequences, readGolden } from '../model/support/golden.js';

const golden = readGolden('gelu-kwon.json');
const calibration: Calibration = { batch: packSequences(golden.sequences), labels: packLabels(golden) };
const options = {
  preset: 'kwon',
  seed: 0,
  keep: 0.5,
  loss: 'crossEntropy',
  batchSize: 10,
  sequenceLength: 12,
} as const;
const open = () => openModel('gelu', { device: 'cpu', threads: 2, mode: 'inference' });

for (const name of ['gelu', 'bert-span'] as const) {
  t.test(`${name}: results are the same bits at any number of threads`, async (t) => {
    const { loss, sequences, labels } = readGolden(`${name}-kwon.json`);
    const samples: Calibration = { batch: packSequences(sequences), labels: packLabels({ loss, labels }) };
    const run = async (threads: number) => {
      using model = await openModel(name, { device: 'cpu', threads, mode: 'inference' });
      const pruneTo = await studyKwon(model, samples, { ...options, loss });
      const { model: pruned, masks, tuned } = await pruneTo(options.keep, {});
      using disposed = pruned;
      return { masks, tuned, logits: await disposed.forward(samples.batch) };
    };
    const alone = await run(1);
    t.same(await run(2), alone, '2 threads');
    t.same(await run(5), alone, '5 threads');
  });
}

t.test('steps are reported in order, with the compacted model and their progress', async (t) => {
  using model = await open();
  const stages: string[] = [];
  const finished: string[] = [];
  const {
    model: pruned,
    macs,
    kept,
    seconds,
    warnings,
  } = await pruneModel(model, calibration, {
    ...options,
    onStage: async (stage, { spec }) => {
      stages.push(stage);
      t.ok(modelMacs(spec, 12) <= 0.5 * modelMacs(model.spec, 12), `${stage}: the model is smaller`);
    },
    onProgress: ({ stage, done, total }) => done === total && finished.push(stage),
  });
  t.same(stages, ['search', 'rearrange', 'tune']);
  t.same(finished, ['gradients', 'rearrange', 'tune']);
  t.same(warnings, []);
  t.same(
    pruned.spec.layers,
    kept.heads.map((heads, layer) => ({ heads: heads.length, neurons: kept.neurons[layer]?.length })),
  );
  t.equal(macs.after, modelMacs(pruned.spec, 12));
  t.ok(Object.values(seconds).every((value) => value > 0));
  pruned.dispose();
});

t.test('keeping everything changes nothing', async (t) => {
  using model = await open();
  const { model: pruned, macs } = await pruneModel(model, calibration, { ...options, keep: 1 });
  t.same(pruned.spec, model.spec);
  t.equal(macs.kept, 1);
  t.same(await pruned.forward(calibration.batch), await model.forward(calibration.batch));
  pruned.dispose();
});

t.test('a pruned model can be pruned again and again, until nothing is left', async (t) => {
  let model = await open();
  for (const keep of [0.6, 0.3, 0.2, 0.1, 0.01, 0.5]) {
    const { model: pruned, macs } = await pruneModel(model, calibration, { ...options, keep });
    const { neuron } = unitMacs(model.spec, options.sequenceLength);
    const budget = keep * macs.before;
    t.ok(macs.after <= budget, `MACs at ${keep}: ${macs.after} of ${budget}`);
    t.ok(macs.after > budget - neuron || macs.before === 0, `less than a neuron is left over at ${keep}`);
    t.ok((await pruned.forward(calibration.batch)).every(Number.isFinite), 'it runs');
    model.dispose();
    model = pruned;
  }
  t.same(model.spec.layers, Array(3).fill({ heads: 0, neurons: 0 }));
  model.dispose();
});

t.test('a sub-layer whose scales go astray keeps its own, and the later ones are still tuned', async (t) => {
  using model = await open();
  const everything = fullMask(model.spec.layers);
  using student = await model.select(
    { heads: [[0, 1, 2], [0, 1], [3]], neurons: [0, 1, 2].map((layer) => [0, 5, 11, 20 + layer]) },
    'inference',
  );
  await model.scaleUnits(1, 'ffn', new Float64Array(61).fill(40));
  const tuned = await tune(student, model, everything, calibration.batch);
  t.same(
    tuned.map(({ layer, sublayer, problem }) => [layer, sublayer, problem]),
    [
      [0, 'ffn', undefined],
      [1, 'attention', undefined],
      [1, 'ffn', 'its scales leave [-10, 10]'],
      [2, 'attention', undefined],
      [2, 'ffn', undefined],
    ],
  );
  t.same(tuned[2]?.scales, new Float64Array(4).fill(1));
  for (const { residual, problem } of tuned) {
    if (problem === undefined) t.ok(residual.after < residual.before);
    else t.equal(residual.after, residual.before);
  }
});

t.test('aborting stops every step with ERR_CANCELLED', async (t) => {
  using model = await open();
  for (const during of ['gradients', 'rearrange', 'tune']) {
    const controller = new AbortController();
    const onProgress: PruneModelOptions['onProgress'] = ({ stage }) => {
      if (stage === during) controller.abort();
    };
    const { signal } = controller;
    await t.rejects(
      pruneModel(model, calibration, { ...options, signal, onProgress }),
      { code: 'ERR_CANCELLED' },
      during,
    );
  }
  t.ok((await model.forward(calibration.batch)).every(Number.isFinite), 'the model stays usable');
});

t.test('gradients that are not finite are an error', async (t) => {
  using model = await openModel('regression', { device: 'cpu', mode: 'inference' });
  const { batch } = calibration;
  const labels = new Float32Array(calibration.labels.length).fill(1e30);
  const pruning = pruneModel(model, { batch, labels }, { ...options, loss: 'meanSquared' });
  await t.rejects(pruning, { code: 'ERR_NON_FINITE' });
});

t.test('bad options are told apart', async (t) => {
  using model = await open();
  const bad: [Partial<Record<keyof PruneModelOptions, unknown>>, RegExp][] = [
    [{ keep: 0 }, /keep must be above 0 and at most 1, not 0/],
    [{ keep: 1.01 }, /keep/],
    [{ keep: Number.NaN }, /keep/],
    [{ preset: 'other' }, /preset must be "espalier" or "kwon", not other/],
    [{ batchSize: 0 }, /batchSize must be a positive whole number/],
    [{ batchSize: 1.5 }, /batchSize/],
    [{ sequenceLength: 0 }, /sequenceLength must be a positive number/],
    [{ sequenceLength: Number.POSITIVE_INFINITY }, /sequenceLength/],
  ];
  for (const [change, message] of bad) {
    const pruning = pruneModel(model, calibration, { ...options, ...change } as PruneModelOptions);
    await t.rejects(pruning, { code: 'ERR_OPTION', message }, JSON.stringify(change));
  }
  const none: Calibration = { batch: packSequences([]), labels: new Int32Array(0) };
  await t.rejects(pruneModel(model, none, options), { code: 'ERR_DATA', message: /no samples/ });
  const short = { ...calibration, labels: calibration.labels.slice(1) };
  await t.rejects(pruneModel(model, short, options), {
    code: 'ERR_DATA',
    message: /64 calibration samples need 64 labels, not 63/,
  });
});
