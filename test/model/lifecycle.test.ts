import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { devices, Engine } from '../../src/native/engine.js';
import { addon } from '../../src/native/load.js';
import { Model } from '../../src/native/model.js';
import { Training } from '../../src/native/training.js';
import { goldenCheckpoint, openModel, packSequences, perSample, readGolden } from './support/golden.js';

const { sequences, labels } = readGolden('gelu.json');
const batch = packSequences(sequences);

/** Some hundred thousand tokens: seconds of work. */
const repeats = 400;
const longBatch = packSequences(Array.from({ length: repeats }, () => sequences).flat());
const longLabels = Int32Array.from(Array.from({ length: repeats }, () => labels).flat());

t.test('work in progress can be cancelled, and the model works afterwards', async (t) => {
  using model = await openModel('gelu', { device: 'reference' });
  const expected = await model.forward(batch);
  const runs: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    forward: (signal) => model.forward(longBatch, { signal }),
    maskGradients: (signal) =>
      model.maskGradients(longBatch, longLabels, 'crossEntropy', perSample(longLabels.length), { signal }),
    advance: async (signal) => {
      using states = await model.embed(longBatch);
      await states.advance(0, 'attention', { signal });
    },
  };
  for (const [what, run] of Object.entries(runs)) {
    const start = performance.now();
    await t.rejects(run(AbortSignal.timeout(50)), { code: 'ERR_CANCELLED' }, what);
    t.ok(performance.now() - start < 5000, `${what} stops soon`);
    await t.rejects(run(AbortSignal.abort()), { code: 'ERR_CANCELLED' }, `${what}, cancelled before it starts`);
  }
  t.same(await model.forward(batch), expected);
});

t.test('work does not block the event loop', async (t) => {
  using model = await openModel('gelu', { device: 'reference' });
  const stop = new AbortController();
  const work = model.forward(longBatch, { signal: stop.signal });
  let ticks = 0;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      if (++ticks === 5) {
        clearInterval(timer);
        resolve();
      }
    }, 1);
  });
  stop.abort();
  await t.rejects(work, { code: 'ERR_CANCELLED' }, 'the work was still going on after five timers');
});

t.test('one model serves several calls at once', async (t) => {
  using model = await openModel('gelu');
  const expected = await model.forward(batch);
  for (const logits of await Promise.all(Array.from({ length: 8 }, () => model.forward(batch)))) {
    t.same(logits, expected);
  }
});

t.test('a teacher changes before a pass or after it', async (t) => {
  const { spec, weights } = await goldenCheckpoint('gelu');
  const engine = Engine.open();
  using model = await Model.create(engine, spec, weights, 'inference');
  using teacher = await Model.create(engine, spec, weights, 'inference');
  using training = await Training.start(model);
  const times = 20;
  const lesson = packSequences(Array.from({ length: times }, () => sequences).flat());
  const answers = longLabels.subarray(0, times * sequences.length);
  const distillation = { teacher, labels: 1, logits: 1, temperature: 1, hidden: 1 };
  const pass = async () => (await training.accumulate(lesson, answers, 'crossEntropy', { distillation })).losses;
  const before = await pass();
  const meanwhile = pass();
  await setTimeout(20);
  await teacher.replace({ 'pooler.bias': new Float32Array(spec.hiddenSize).fill(1) });
  const found = await meanwhile;
  const after = await pass();
  t.notSame(after, before);
  t.same(found, found[0] === before[0] ? before : after);
});

t.test('a solver keeps the arrays that it is given until it is done, and no longer', async (t) => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const engine = Engine.open({ device: 'cpu' });
  const neurons = 512;
  // Not through src/native, whose promise would hold on to the arrays.
  const solve = () => {
    const gram = new Float64Array(neurons * neurons).fill(1);
    for (let i = 0; i < neurons; i++) gram[i * neurons + i] = 3;
    const sums = new Float64Array(neurons).fill(2);
    const statistics = {
      rows: 8,
      gram,
      cross: sums,
      inputSums: sums,
      targetSums: Float64Array.of(3),
      targetSquares: 9,
    };
    return addon().solveProjection(statistics, new Float32Array(neurons).fill(0.5), 0.1, engine.native);
  };
  const heldBytes = () => {
    collectGarbage();
    return process.memoryUsage().arrayBuffers;
  };
  // What is found to be garbage is freed a little later.
  const settle = async () => {
    for (let times = 0; times < 3; times++) {
      collectGarbage();
      await setTimeout(20);
    }
  };
  await settle();
  const before = heldBytes();
  const solution = solve();
  const meanwhile = heldBytes();
  await solution;
  await settle();
  const gramBytes = 8 * neurons ** 2;
  t.ok(meanwhile >= before + gramBytes, 'while it works');
  t.ok(heldBytes() < before + gramBytes, 'once it is done');
});

t.test('a disposed model throws, work in progress still ends, disposing twice is harmless', async (t) => {
  const model = await openModel('gelu');
  const expected = await model.forward(batch);
  const work = model.forward(batch);
  model.dispose();
  t.same(await work, expected);
  await t.rejects(
    async () => model.forward(batch),
    { name: 'EspalierError', code: 'ERR_INVALID_ARGUMENT', message: /disposed/ },
    'use after dispose',
  );
  model.dispose();
});

t.test('disposed hidden states throw', async (t) => {
  using model = await openModel('gelu');
  const states = await model.embed(batch);
  states.dispose();
  await t.rejects(async () => states.advance(0, 'attention'), { code: 'ERR_INVALID_ARGUMENT' });
  states.dispose();
});

t.test('a model outlives its engine', async (t) => {
  const { spec, weights } = await goldenCheckpoint('gelu');
  const engine = Engine.open();
  using model = await Model.create(engine, spec, weights, 'inference');
  engine.dispose();
  t.equal((await model.forward(batch)).length, sequences.length * spec.labels);
  await t.rejects(
    async () => Model.create(engine, spec, weights, 'inference'),
    { code: 'ERR_INVALID_ARGUMENT' },
    'the engine itself is gone',
  );
});

t.test('a selected model outlives the one it came from', async (t) => {
  const model = await openModel('gelu');
  const all = (width: number) => Array.from({ length: 3 }, () => Array.from({ length: width }, (_, unit) => unit));
  const expected = await model.forward(batch);
  using copy = await model.select({ heads: all(5), neurons: all(61) }, 'inference');
  model.dispose();
  t.same(await copy.forward(batch), expected);
});

t.test('reported bytes grow with what a mode needs', async (t) => {
  using inference = await openModel('gelu', { mode: 'inference' });
  using gradients = await openModel('gelu', { mode: 'gradients' });
  t.ok(inference.bytes > 60_000 * 4, 'at least the weights');
  t.ok(gradients.bytes > inference.bytes);
});

t.test('devices report what can run here', async (t) => {
  const reported = devices();
  for (const name of ['cpu', 'reference']) {
    const device = reported.find((candidate) => candidate.name === name);
    t.match(device, { available: true, detail: /./ }, name);
  }
});

t.test('worker threads load the addon side by side', async (t) => {
  using model = await openModel('gelu');
  const expected = await model.forward(batch);
  const results = await Promise.all(
    Array.from({ length: 3 }, () => {
      const worker = new Worker(new URL('./support/forward-worker.js', import.meta.url), { workerData: batch });
      return new Promise<Float32Array>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
    }),
  );
  for (const logits of results) t.same(logits, expected);
});

t.test('a worker that ends in the middle of its work takes nothing with it', async (t) => {
  using model = await openModel('gelu');
  const worker = new Worker(new URL('./support/forward-worker.js', import.meta.url), { workerData: longBatch });
  await new Promise<void>((resolve) => worker.once('online', resolve));
  await setTimeout(100);
  await worker.terminate();
  t.equal((await model.forward(batch)).length, sequences.length * 3);
});
