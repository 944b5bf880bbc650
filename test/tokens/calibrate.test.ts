import t from 'tap';
import { loadModel } from '../../src/index.js';
import type { TokenPruning } from '../../src/native/addon.js';
import type { ProgressEvent } from '../../src/progress.js';
import { risingThresholds } from '../../src/tokens/baselines.js';
import { calibrateThresholds } from '../../src/tokens/calibrate.js';
import { divergence } from '../../src/tokens/divergence.js';
import { fitToMacs, savingsOn } from '../../src/tokens/fit-to-macs.js';
import { openModel, packSequences, readGolden } from '../model/support/golden.js';
import { sentimentMini } from '../support/paths.js';
import { demoBatch, demoSequences } from './support/demo-batch.js';

const batch = await demoBatch(24);
const { native: model } = await loadModel(sentimentMini);
const layers = model.spec.layers.length;
const loss = 'crossEntropy' as const;
t.teardown(() => model.dispose());

const divergenceOf = async (pruning: TokenPruning) =>
  divergence(await model.forward(batch), await model.forward(batch, { pruning }), loss, batch);

t.test('a budget is met, and predictions move less than with rising thresholds that leave as much', async (t) => {
  for (const macs of [0.8, 0.6]) {
    const found = await calibrateThresholds(model, batch, { loss, paddedLength: 0, macs });
    t.equal(found.rule, 'threshold');
    t.equal(found.values.length, layers);
    t.ok(found.values.every((value) => value >= 0 && value <= 1));
    const { macs: left } = await savingsOn(model, batch, found);
    t.ok(left <= macs && left > macs - 0.02, `${left} of ${macs}`);

    const { at, hardest } = risingThresholds(layers, 0);
    const rising = await fitToMacs(model, batch, at, hardest, { macs: left + 0.003 });
    t.ok((await savingsOn(model, batch, rising)).macs >= left - 1e-3, 'no harder task');
    const [own, baseline] = [await divergenceOf(found), await divergenceOf(rising)];
    t.ok(own < baseline, `${own} < ${baseline} at ${macs}`);
  }
});

t.test('the same sequences give the same thresholds, and say how far the search has come', async (t) => {
  const hundredths: number[] = [];
  const onProgress = ({ done }: ProgressEvent) => hundredths.push(done);
  const found = await calibrateThresholds(model, batch, { loss, paddedLength: 0, macs: 0.7, onProgress });
  t.strictSame(await calibrateThresholds(model, batch, { loss, paddedLength: 0, macs: 0.7 }), found);
  t.strictSame(
    hundredths,
    [...hundredths].sort((a, b) => a - b),
  );
  t.ok(hundredths.length > 2 && hundredths.at(-1) === 100);
});

t.test('nothing is dropped where nothing has to be', async (t) => {
  const found = await calibrateThresholds(model, batch, { loss, paddedLength: 0, macs: 1 });
  t.equal(await divergenceOf(found), 0);
});

t.test('a budget that no thresholds meet is refused, with what can be saved', async (t) => {
  await t.rejects(calibrateThresholds(model, batch, { loss, paddedLength: 0, macs: 0.05 }), {
    code: 'ERR_TARGET',
    message: /^no more than 0\.\d{3} of the multiply-accumulates can be saved .*\(ask for more than 0\.05\)$/,
  });
});

t.test('texts that are all alike are calibrated on, and importance is a mean over any length', async (t) => {
  const alike = (await demoSequences(1)).take(Array(16).fill(0)).batch;
  for (const paddedLength of [0, 2 ** 31 - 1]) {
    const found = await calibrateThresholds(model, alike, { loss, paddedLength, macs: 0.6 });
    t.ok((await savingsOn(model, alike, found)).macs <= 0.6);
  }
});

t.test('an abort ends the search', async (t) => {
  const abort = new AbortController();
  const onProgress = () => abort.abort();
  const search = calibrateThresholds(model, batch, {
    loss,
    paddedLength: 0,
    macs: 0.5,
    onProgress,
    signal: abort.signal,
  });
  await t.rejects(search, { code: 'ERR_CANCELLED' });
});

for (const name of ['regression', 'bert-span'] as const) {
  t.test(`the budget of a ${name} model is met`, async (t) => {
    const golden = readGolden(`${name}.json`);
    const sequences = packSequences(golden.sequences);
    using tiny = await openModel(name, { mode: 'inference' });
    const found = await calibrateThresholds(tiny, sequences, { loss: golden.loss, paddedLength: 0, macs: 0.9 });
    t.ok((await savingsOn(tiny, sequences, found)).macs <= 0.9);
  });
}
