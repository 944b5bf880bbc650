import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Precision } from '../../src/native/addon.js';
import { devices, Engine } from '../../src/native/engine.js';
import { Model } from '../../src/native/model.js';
import { studyEspalier } from '../../src/prune/espalier.js';
import { studyKwon } from '../../src/prune/kwon.js';
import { runCli } from '../support/cli.js';
import { demoData, repoRoot, sentimentMini } from '../support/paths.js';
import { goldenCheckpoint, packLabels, packSequences, perSample, readGolden, relativeError } from './support/golden.js';

// The plugin of the native tests whose kernels run on the host: everything above them is what a GPU has.
const emulation = join(repoRoot, 'build/native-release/native/backend/cuda/emulation');
const skip = existsSync(join(emulation, 'espalier_cuda.so'))
  ? false
  : 'the emulation is not built (npm test builds it)';
process.env.ESPALIER_PLUGINS = emulation;

const golden = readGolden('gelu-kwon.json');
const batch = packSequences(golden.sequences);
const options = { loss: golden.loss, sequenceLength: 12 };
const calibration = { batch, labels: packLabels(golden) };

async function open(device: string, precision: Precision = 'fp32', mode: 'gradients' | 'inference' = 'inference') {
  const { spec, weights } = await goldenCheckpoint('gelu');
  return Model.create(Engine.open({ device, precision }), spec, weights, mode);
}

t.test('the device is found, also by its index', { skip }, async (t) => {
  t.match(
    devices().find(({ name }) => name === 'cuda'),
    { available: true, detail: /emulated/ },
  );
  using model = await open('cuda:0');
  t.equal(model.engine.device, 'cuda:0');
  t.throws(() => Engine.open({ device: 'cuda:1' }), { code: 'ERR_NO_DEVICE', message: /device cuda:1: / });
});

t.test('the most memory that the device held is known, and reported', { skip }, async (t) => {
  const model = await open('cuda');
  const { engine } = model;
  const weights = engine.peakBytes as number;
  t.ok(weights > 0);
  await model.forward(batch);
  const peak = engine.peakBytes as number;
  t.ok(peak > weights);
  model.dispose();
  t.equal(engine.peakBytes, peak);
  const data = ['--task', 'sst2', '--eval', demoData('eval'), '--limit', '2'];
  const { stdout } = await runCli(['evaluate', sentimentMini, ...data, '--device', 'cuda', '--json']);
  t.ok(JSON.parse(stdout).peakDeviceBytes > 0);
});

t.test('every precision computes the logits of the cpu within its rounding', { skip }, async (t) => {
  using cpu = await open('cpu');
  const expected = await cpu.forward(batch);
  const tolerances: [Precision, number][] = [
    ['fp32', 1e-5],
    ['tf32', 1e-2],
    ['bf16-products', 5e-2],
    ['fp16', 1e-2],
    ['bf16', 5e-2],
  ];
  for (const [precision, tolerance] of tolerances) {
    using model = await open('cuda', precision);
    t.ok(relativeError(await model.forward(batch), expected) < tolerance, precision);
  }
});

t.test('mask gradients are those of the cpu, and 16-bit models have none', { skip }, async (t) => {
  const gradients = async (device: string) => {
    using model = await open(device, 'fp32', 'gradients');
    return model.maskGradients(batch, calibration.labels, golden.loss, perSample(golden.sequences.length));
  };
  const [cpu, cuda] = [await gradients('cpu'), await gradients('cuda')];
  for (const name of ['losses', 'heads', 'neurons'] as const) {
    t.ok(relativeError(cuda[name], cpu[name]) < 1e-4, name);
  }
  await t.rejects(open('cuda', 'bf16', 'gradients'), { code: 'ERR_UNSUPPORTED', message: /16 bits/ });
  t.throws(() => Engine.open({ device: 'cpu', precision: 'bf16' }), { code: 'ERR_UNSUPPORTED' });
});

for (const [preset, study] of [
  ['kwon', (model: Model) => studyKwon(model, calibration, { ...options, batchSize: 4 })],
  ['espalier', (model: Model) => studyEspalier(model, batch, { ...options, seed: 0 })],
] as const) {
  t.test(`${preset} keeps the units that it keeps on the cpu`, { skip }, async (t) => {
    const prune = async (device: string) => {
      using model = await open(device);
      const { model: pruned, kept } = await (await study(model))(0.5, {});
      using disposed = pruned;
      return { kept, logits: await disposed.forward(batch) };
    };
    const [cpu, cuda] = [await prune('cpu'), await prune('cuda')];
    t.same(cuda.kept, cpu.kept);
    t.ok(relativeError(cuda.logits, cpu.logits) < 1e-3);
  });
}

t.test('a machine without the plugin says what it lacks', { skip }, async (t) => {
  const { stdout, status } = await runCli(['devices', '--json'], { env: { ESPALIER_PLUGINS: repoRoot } });
  t.equal(status, 0);
  t.match(
    JSON.parse(stdout).devices.find(({ name }: { name: string }) => name === 'cuda'),
    { available: false, detail: 'espalier_cuda.so was not built (that needs its compiler)' },
  );
});
