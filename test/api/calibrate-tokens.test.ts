import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  calibrateTokens,
  evaluate,
  type LoadedModel,
  loadModel,
  type ProgressEvent,
  type Reconstruction,
} from '../../src/index.js';
import { demoExamples } from '../data/support/demo.js';
import { sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';
import { settingsOf } from './support/checkpoints.js';

const directory = temporaryDirectory();
const path = (name: string) => join(directory, name);
const examples = demoExamples('train', 32);
const data = { task: 'sst2', train: examples, eval: examples, maxLength: 24 };
const model = await loadModel(sentimentMini);
t.teardown(() => model.dispose());

t.test('calibrated thresholds meet the budget without labels or training', async (t) => {
  const texts = examples.map(({ text }) => ({ text }));
  const notes: ProgressEvent[] = [];
  const onProgress = (event: ProgressEvent) => event.stage === 'calibrate' && notes.push(event);
  const options = { ...data, train: texts, macs: 0.7, samples: 24, onProgress };
  await using result = await calibrateTokens(model, options);
  const { report } = result;
  t.match(report, { command: 'tokens calibrate', method: 'calibrated', epochs: [], recipes: {} });
  t.notOk('peakDeviceBytes' in report, "the CPU's memory is the host's");
  t.ok(Math.abs((report.dropping?.macs as number) - 0.7) < 0.05, `${report.dropping?.macs}`);
  t.strictSame(report.dense, (await evaluate(model, { ...data, examples })).metrics);
  t.match(notes.at(-1), { done: 100, total: 100, note: /^[67]\d\.\d % of the MACs left$/ });
  await result.save(path('calibrated'));
  t.strictSame(settingsOf(path('calibrated')).token_thresholds, report.tokenPruning?.values);
  t.equal(JSON.parse(readFileSync(join(path('calibrated'), 'training.json'), 'utf8')).command, 'tokens calibrate');
  await using loaded = await loadModel(path('calibrated'));
  const { metrics, dropping } = await evaluate(loaded, { examples, maxLength: data.maxLength });
  t.strictSame({ metrics, dropping }, { metrics: report.trained, dropping: report.dropping });
  const [own, given] = [loaded, model].map(({ checkpoint }) => checkpoint.bytes);
  t.equal(own, given, 'as many weights');
});

t.test("importance is a mean over each text's own length, or over another", async (t) => {
  for (const [paddedLength, expected] of [
    [undefined, undefined],
    [40, 40],
  ] as const) {
    const options = { ...data, eval: undefined, macs: 0.7, samples: 16, paddedLength, reconstruct: false };
    await using result = await calibrateTokens(model, options);
    t.equal(result.report.tokenPruning?.paddedLength, expected);
  }
});

t.test('new projections are reported, and left out where asked', async (t) => {
  const options = { ...data, eval: undefined, macs: 0.7, samples: 16 };
  const outputWeights = async ({ native }: LoadedModel) =>
    Buffer.from((await native.weight('layers.1.ffn.out.weight', 'f32')).data);
  await using made = await calibrateTokens(model, options);
  const { kept, divergence } = made.report.reconstruction as Reconstruction;
  t.ok(divergence.before > 0 && divergence.after > 0);
  t.equal((await outputWeights(made.model)).equals(await outputWeights(model)), !kept);
  await using plain = await calibrateTokens(model, { ...options, reconstruct: false });
  t.notOk('reconstruction' in plain.report);
  t.ok((await outputWeights(plain.model)).equals(await outputWeights(model)));
  await using few = await calibrateTokens(model, { ...options, train: examples.slice(0, 1), macs: 1 });
  t.notOk('reconstruction' in few.report, 'no text is left to judge by');
});

t.test('calibration without evaluation data says what is left of the texts, at most the budget', async (t) => {
  await using result = await calibrateTokens(model, { ...data, eval: undefined, macs: 0.7, samples: 24 });
  t.ok((result.report.dropping?.macs as number) <= 0.7);
  t.notOk('dense' in result.report || 'trained' in result.report);
});

t.test('calibration that cannot be done is refused', async (t) => {
  const run = (options: object) => calibrateTokens(model, { ...data, samples: 8, macs: 0.7, ...options });
  await t.rejects(run({ macs: 0.01 }), { code: 'ERR_TARGET' });
  await t.rejects(run({ train: path('absent.txt') }), { code: 'ERR_DATA' });
  await t.rejects(run({ signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' });
});
