import t from 'tap';
import type { PackedBatch } from '../../src/native/addon.js';
import type { Model } from '../../src/native/model.js';
import {
  type EspalierOptions,
  type EspalierPart,
  measureCurves,
  pruneOnCurves,
  studyEspalier,
} from '../../src/prune/espalier.js';
import { modelMacs } from '../../src/prune/macs.js';
import { type GoldenName, openModel, packSequences, readGolden, relativeError } from '../model/support/golden.js';

const golden = readGolden('gelu-kwon.json');
const batch = packSequences(golden.sequences);
const options: EspalierOptions = { keep: 0.5, loss: 'crossEntropy', sequenceLength: 12, seed: 0 };
const pruneEspalier = async (model: Model, samples: PackedBatch, options: EspalierOptions) =>
  (await studyEspalier(model, samples, options))(options.keep, options);
const open = (name: GoldenName = 'gelu', threads = 2) => openModel(name, { device: 'cpu', threads, mode: 'inference' });

for (const name of ['gelu', 'bert-span'] as const) {
  t.test(`${name}: results are the same bits at any number of threads`, async (t) => {
    const { loss, sequences } = readGolden(`${name}-kwon.json`);
    const samples = packSequences(sequences);
    const run = async (threads: number) => {
      using model = await open(name, threads);
      const { model: pruned, kept } = await pruneEspalier(model, samples, { ...options, loss });
      using disposed = pruned;
      return { kept, logits: await disposed.forward(samples) };
    };
    const alone = await run(1);
    t.same(await run(2), alone, '2 threads');
    t.same(await run(5), alone, '5 threads');
  });

  t.test(`${name}: what is left, solved anew, comes closer to the dense model`, async (t) => {
    const { loss, sequences } = readGolden(`${name}-kwon.json`);
    const samples = packSequences(sequences);
    using model = await open(name);
    const dense = await model.forward(samples);
    const errors: Record<string, number> = {};
    const { model: pruned } = await pruneEspalier(model, samples, {
      ...options,
      loss,
      onStage: async (stage, native) => {
        const logits = await native.forward(samples);
        errors[stage] = logits.reduce((sum, logit, i) => sum + (logit - (dense[i] as number)) ** 2, 0);
      },
    });
    pruned.dispose();
    t.ok((errors.reconstruct as number) < 0.5 * (errors.allocate as number), JSON.stringify(errors));
  });
}

t.test('the backends agree', async (t) => {
  const run = async (device: string) => {
    using model = await openModel('gelu', { device, mode: 'inference' });
    const { model: pruned, kept } = await pruneEspalier(model, batch, options);
    using disposed = pruned;
    return { kept, logits: await disposed.forward(batch) };
  };
  const [reference, cpu] = [await run('reference'), await run('cpu')];
  t.same(cpu.kept, reference.kept);
  t.ok(relativeError(cpu.logits, reference.logits) < 1e-3);
});

t.test('steps are reported in order, with the compacted model and their progress', async (t) => {
  using model = await open();
  const stages: string[] = [];
  const finished: string[] = [];
  const {
    model: pruned,
    macs,
    kept,
    seconds,
  } = await pruneEspalier(model, batch, {
    ...options,
    onStage: async (stage, { spec }) => {
      stages.push(stage);
      t.ok(modelMacs(spec, 12) <= 0.5 * modelMacs(model.spec, 12), `${stage}: the model is smaller`);
    },
    onProgress: ({ stage, done, total }) => done === total && finished.push(stage),
  });
  t.same(stages, ['allocate', 'reconstruct']);
  t.same(finished, ['gradients', 'curves', 'reconstruct']);
  t.same(
    pruned.spec.layers,
    kept.heads.map((heads, layer) => ({ heads: heads.length, neurons: kept.neurons[layer]?.length })),
  );
  t.equal(macs.after, modelMacs(pruned.spec, 12));
  t.same(Object.keys(seconds), ['gradients', 'curves', 'allocate', 'reconstruct']);
  pruned.dispose();
});

t.test('curves serve any number of budgets', async (t) => {
  using model = await open();
  const curves = await measureCurves(model, batch, options);
  for (const keep of [0.7, 0.3]) {
    const { model: shared } = await pruneOnCurves(model, batch, curves, { ...options, keep });
    const { model: alone } = await pruneEspalier(model, batch, { ...options, keep });
    t.same(await shared.forward(batch), await alone.forward(batch));
    shared.dispose();
    alone.dispose();
  }
});

t.test('keeping everything changes nothing', async (t) => {
  using model = await open();
  const { model: pruned, macs } = await pruneEspalier(model, batch, { ...options, keep: 1 });
  t.same(pruned.spec, model.spec);
  t.equal(macs.kept, 1);
  t.same(await pruned.forward(batch), await model.forward(batch));
  pruned.dispose();
});

t.test('a pruned model can be pruned again and again, until nothing but biases is left', async (t) => {
  let model = await open();
  for (const keep of [0.6, 0.3, 0.1, 0.001, 0.5]) {
    const { model: pruned, macs } = await pruneEspalier(model, batch, { ...options, keep });
    t.ok(macs.after <= keep * macs.before, `MACs at ${keep}`);
    t.ok((await pruned.forward(batch)).every(Number.isFinite), 'it runs');
    model.dispose();
    model = pruned;
  }
  t.same(model.spec.layers, Array(3).fill({ heads: 0, neurons: 0 }));
  model.dispose();
});

t.test('a model whose sums overflow is an error', async (t) => {
  using model = await open();
  await model.scaleUnits(1, 'ffn', new Float64Array(61).fill(1e38));
  await t.rejects(pruneEspalier(model, batch, options), { code: 'ERR_NON_FINITE' });
});

t.test('aborting stops every step with ERR_CANCELLED', async (t) => {
  using model = await open();
  for (const during of ['gradients', 'curves', 'reconstruct']) {
    const controller = new AbortController();
    const { signal } = controller;
    const onProgress: EspalierOptions['onProgress'] = ({ stage }) => {
      if (stage === during) controller.abort();
    };
    await t.rejects(pruneEspalier(model, batch, { ...options, signal, onProgress }), { code: 'ERR_CANCELLED' }, during);
  }
  t.ok((await model.forward(batch)).every(Number.isFinite), 'the model stays usable');
});

t.test('each part can be left out, and makes a difference', async (t) => {
  using model = await open();
  const dense = await model.forward(batch);
  const run = async (without: EspalierPart[]) => {
    const { model: pruned, kept } = await pruneEspalier(model, batch, { ...options, without });
    using disposed = pruned;
    const logits = await disposed.forward(batch);
    return { kept, error: relativeError(logits, dense) };
  };
  const whole = await run([]);
  for (const part of ['moments', 'allocation', 'inputs', 'outputs'] as const) {
    const { kept, error } = await run([part]);
    t.not(error, whole.error, part);
    const choosing = part === 'moments' || part === 'allocation';
    t.equal(JSON.stringify(kept) === JSON.stringify(whole.kept), !choosing, `${part}: the units`);
  }
});
