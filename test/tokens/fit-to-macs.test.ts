import t from 'tap';
import { loadModel } from '../../src/index.js';
import { fallingRates, geometricRates, risingThresholds } from '../../src/tokens/baselines.js';
import { fitToMacs, savingsOn } from '../../src/tokens/fit-to-macs.js';
import { tokenCounts, tokenSavings } from '../../src/tokens/token-counts.js';
import { sentimentMini } from '../support/paths.js';
import { demoBatch } from './support/demo-batch.js';

const batch = await demoBatch(48);
const { native: model } = await loadModel(sentimentMini);
const layers = model.spec.layers.length;
t.teardown(() => model.dispose());

for (const [name, family, tolerance] of [
  ['rising thresholds', risingThresholds(layers, 0), 0.003],
  // All sequences of a length lose a token at the same rate.
  ['falling rates', fallingRates(layers), 0.01],
  ['geometric rates', geometricRates(layers), 0.01],
] as const) {
  t.test(`${name} meet a target from below, and use it up`, async (t) => {
    for (const macs of [0.8, 0.5]) {
      const pruning = await fitToMacs(model, batch, family.at, family.hardest, { macs });
      const { macs: left } = await savingsOn(model, batch, pruning);
      t.ok(left <= macs && left > macs - tolerance, `${left} of ${macs}`);
    }
  });

  t.test(`${name}: the harder, the less work, down to what the first tokens take`, async (t) => {
    let before = 1;
    for (const part of [0, 0.02, 0.1, 0.3, 1]) {
      const { macs: left } = await savingsOn(model, batch, family.at(part * family.hardest));
      t.ok(left <= before, `${left} after ${before}`);
      before = left;
    }
    t.ok(before > 0 && before < 0.5);
  });
}

t.test('a target of 1 drops next to nothing', async (t) => {
  const { at, hardest } = risingThresholds(layers, 0);
  const pruning = await fitToMacs(model, batch, at, hardest, { macs: 1 });
  t.ok((await savingsOn(model, batch, pruning)).macs > 0.997);
});

t.test('the work that is left is what the traced tokens count to', async (t) => {
  const pruning = geometricRates(layers).at(0.3);
  const traced = await model.traceTokens(batch, { pruning });
  const counts = tokenCounts(traced, batch, layers);
  t.strictSame(await savingsOn(model, batch, pruning), tokenSavings(model.spec, counts));
  for (const [sequence, [length, ...kept]] of counts.entries()) {
    t.equal(length, (batch.offsets[sequence + 1] as number) - (batch.offsets[sequence] as number));
    // The last layer of a classifier drops nothing.
    const expected = [1, 2, 3, 3].map((power) => Math.ceil((length as number) * 0.7 ** power));
    t.strictSame(kept, expected, `sequence ${sequence}`);
  }
});

t.test('what no pruning of the family reaches is refused, with what is left at least', async (t) => {
  const { at, hardest } = fallingRates(layers);
  await t.rejects(fitToMacs(model, batch, at, hardest, { macs: 0.05 }), {
    code: 'ERR_TARGET',
    message: /^at least 0\.\d{3} of the multiply-accumulates are left, .*\(ask for more than 0\.05\)$/,
  });
});

t.test('an abort ends the search', async (t) => {
  const { at, hardest } = risingThresholds(layers, 0);
  const abort = new AbortController();
  const aborting = (hardness: number) => {
    if (hardness < hardest) abort.abort();
    return at(hardness);
  };
  const fit = fitToMacs(model, batch, aborting, hardest, { macs: 0.5, signal: abort.signal });
  await t.rejects(fit, { code: 'ERR_CANCELLED' });
});
