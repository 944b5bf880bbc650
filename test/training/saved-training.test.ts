import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { Training } from '../../src/native/training.js';
import { SavedTraining } from '../../src/training/saved-training.js';
import { openModel } from '../model/support/golden.js';
import { temporaryDirectory } from '../support/temporary.js';
import { goldenSequences } from './support/golden-sequences.js';
import { statesOf } from './support/states.js';

interface Notes {
  epoch: number;
}

const root = temporaryDirectory();
const model = await openModel('gelu', { mode: 'inference' });
t.teardown(() => model.dispose());
const data = goldenSequences('gelu');
const { batch, labels } = data.take(Array(data.count).keys());
const settings = { task: 'mnli', recipe: { epochs: 2 }, macs: undefined };
const step = { learningRate: 1e-3, weightDecay: 0.01, maxGradientNorm: 1, gradientScale: 1 / data.count };

let count = 0;
const fresh = () => new SavedTraining<Notes>(join(root, `case-${count++}`, 'state'), model.spec);

const stateOf = (training: Training) => statesOf(training, model.spec);

async function takeSteps(training: Training, steps: number): Promise<void> {
  for (let taken = 0; taken < steps; taken++) {
    await training.accumulate(batch, labels, 'crossEntropy', { seed: taken });
    await training.step(step);
  }
}

/** A training that took two steps and was saved. */
async function savedOnce() {
  const saved = fresh();
  const training = await Training.start(model);
  await takeSteps(training, 2);
  await saved.save(training, { settings, steps: 2, notes: { epoch: 1 } });
  return { saved, training, states: await stateOf(training) };
}

t.test('weights, moments, steps and notes come back', async (t) => {
  const { saved, training, states } = await savedOnce();
  t.strictSame(readdirSync(saved.directory).sort(), ['state.json', 'step-2.safetensors']);
  using resumed = await Training.start(model);
  t.strictSame(await saved.resume(resumed, settings), { epoch: 1 });
  t.ok(isDeepStrictEqual(await stateOf(resumed), states));
  // The bias corrections of the next step depend on how many there were.
  await takeSteps(training, 1);
  await takeSteps(resumed, 1);
  t.ok(isDeepStrictEqual(await stateOf(resumed), await stateOf(training)));
});

t.test('a later state takes the place of the earlier one', async (t) => {
  const { saved, training } = await savedOnce();
  await takeSteps(training, 1);
  await saved.save(training, { settings, steps: 3, notes: { epoch: 2 } });
  t.strictSame(readdirSync(saved.directory).sort(), ['state.json', 'step-3.safetensors']);
  using resumed = await Training.start(model);
  t.strictSame(await saved.resume(resumed, settings), { epoch: 2 });
  t.ok(isDeepStrictEqual(await stateOf(resumed), await stateOf(training)));
});

t.test('where there is no state, training begins', async (t) => {
  const saved = fresh();
  using training = await Training.start(model);
  const states = await stateOf(training);
  t.equal(await saved.resume(training, settings), undefined);
  t.notOk(existsSync(saved.directory), 'and nothing is made yet');
  mkdirSync(saved.directory, { recursive: true });
  t.equal(await saved.resume(training, settings), undefined, 'in an empty directory');
  t.ok(isDeepStrictEqual(await stateOf(training), states));
});

t.test('a training with other settings is not gone on with', async (t) => {
  const { saved, states } = await savedOnce();
  using training = await Training.start(model);
  for (const other of [
    { ...settings, task: 'sst2' },
    { ...settings, recipe: { epochs: 3 } },
    { ...settings, macs: 0.5 },
    { task: 'mnli' },
  ]) {
    await t.rejects(saved.resume(training, other), {
      code: 'ERR_OUTPUT',
      message: /state holds a training with other settings, another model or other data \(give another directory\)$/,
    });
  }
  t.notOk(isDeepStrictEqual(await stateOf(training), states));
});

t.test('a directory of something else is refused and left alone', async (t) => {
  const saved = fresh();
  mkdirSync(saved.directory, { recursive: true });
  writeFileSync(join(saved.directory, 'precious.txt'), 'mine');
  using training = await Training.start(model);
  await t.rejects(saved.resume(training, settings), {
    code: 'ERR_OUTPUT',
    message: /state keeps no training \(give another directory\)$/,
  });
  t.strictSame(readdirSync(saved.directory), ['precious.txt']);
});

t.test('a state.json that cannot be read is refused, in one line', async (t) => {
  const { saved } = await savedOnce();
  const file = join(saved.directory, 'state.json');
  using training = await Training.start(model);
  for (const text of ['', '{"settings":\n', readFileSync(file, 'utf8').slice(0, -20), '[]', '{}']) {
    writeFileSync(file, text);
    const error = await saved.resume(training, settings).catch((reason) => reason);
    t.match(error, { code: 'ERR_OUTPUT', message: /\(give another directory\)$/ }, JSON.stringify(text));
    t.notMatch(error.message, '\n');
  }
});

t.test('weights that are damaged or gone are refused', async (t) => {
  const { saved } = await savedOnce();
  const weights = join(saved.directory, 'step-2.safetensors');
  using training = await Training.start(model);
  for (const spoil of [() => truncateSync(weights, 5000), () => rmSync(weights)]) {
    spoil();
    await t.rejects(saved.resume(training, settings), { code: 'ERR_CHECKPOINT', message: /step-2\.safetensors/ });
  }
});

t.test('killed before state.json: the state before still counts', async (t) => {
  const { saved, training, states } = await savedOnce();
  writeFileSync(join(saved.directory, 'step-4.safetensors'), 'half');
  writeFileSync(join(saved.directory, '.state.json.0123456789ab'), '{"sett');
  using resumed = await Training.start(model);
  t.strictSame(await saved.resume(resumed, settings), { epoch: 1 });
  t.ok(isDeepStrictEqual(await stateOf(resumed), states));
  await takeSteps(training, 2);
  await saved.save(training, { settings, steps: 4, notes: { epoch: 2 } });
  t.strictSame(readdirSync(saved.directory).sort(), ['state.json', 'step-4.safetensors'], 'and what was left goes');
});

t.test('killed before the first state.json: training begins anew', async (t) => {
  for (const left of [['step-2.safetensors'], ['step-2.safetensors', '.state.json.0123456789ab']]) {
    const saved = fresh();
    mkdirSync(saved.directory, { recursive: true });
    for (const name of left) writeFileSync(join(saved.directory, name), 'half');
    using training = await Training.start(model);
    t.equal(await saved.resume(training, settings), undefined, `${left}`);
    await saved.save(training, { settings, steps: 2, notes: { epoch: 1 } });
    t.strictSame(await saved.resume(training, settings), { epoch: 1 });
  }
});
