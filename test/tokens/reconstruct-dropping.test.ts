import t from 'tap';
import { loadModel } from '../../src/index.js';
import type { PackedBatch, TokenPruning } from '../../src/native/addon.js';
import type { Model } from '../../src/native/model.js';
import type { ProgressEvent } from '../../src/progress.js';
import { holdOut } from '../../src/prune/sequences.js';
import { multiplesOf } from '../../src/tokens/baselines.js';
import { divergence } from '../../src/tokens/divergence.js';
import { fitToMacs, savingsOn } from '../../src/tokens/fit-to-macs.js';
import { type DroppingModel, reconstructDropping } from '../../src/tokens/reconstruct-dropping.js';
import { openModel, packSequences, readGolden } from '../model/support/golden.js';
import { sentimentMini } from '../support/paths.js';
import { demoBatch } from './support/demo-batch.js';

const macs = 0.3;
const { native: sentiment } = await loadModel(sentimentMini);
const [batch, heldOut] = holdOut(await demoBatch(400), 2) as [PackedBatch, PackedBatch];
t.teardown(() => sentiment.dispose());

/** The same threshold in every layer, so that the budget is met. */
async function evenThresholds(model: Model, sequences: PackedBatch, left: number): Promise<TokenPruning> {
  const { at, hardest } = multiplesOf({ rule: 'threshold', values: model.spec.layers.map(() => 0.05) });
  return fitToMacs(model, sequences, at, hardest, { macs: left });
}

const weightsOf = async (model: Model, role: string) => Buffer.from((await model.weight(`${role}.weight`, 'f32')).data);

t.test('new projections bring the predictions of other texts nearer, within the budget', async (t) => {
  const pruning = await evenThresholds(sentiment, batch, macs);
  const before = await weightsOf(sentiment, 'layers.1.ffn.out');
  const events: ProgressEvent[] = [];
  const onProgress = (event: ProgressEvent) => events.push(event);
  const made = await reconstructDropping(sentiment, pruning, batch, heldOut, {
    loss: 'crossEntropy',
    macs,
    onProgress,
  });
  using model = made.model;
  const { kept, divergence: moved } = made.reconstruction as NonNullable<DroppingModel['reconstruction']>;
  t.ok(kept && moved.after < moved.before, JSON.stringify(moved));
  const [dense, dropping] = [await sentiment.forward(heldOut), await model.forward(heldOut, { pruning: made.pruning })];
  t.equal(divergence(dense, dropping, 'crossEntropy', heldOut), moved.after);
  const { macs: left } = await savingsOn(model, batch, made.pruning);
  t.ok(left <= macs && left > macs - 0.02, `${left}`);
  t.notOk((await weightsOf(model, 'layers.1.ffn.out')).equals(before));
  t.ok((await weightsOf(model, 'layers.1.ffn.in')).equals(await weightsOf(sentiment, 'layers.1.ffn.in')));
  t.ok((await weightsOf(sentiment, 'layers.1.ffn.out')).equals(before), 'the given model is not changed');
  const total = 2 * sentiment.spec.layers.length;
  t.match(events.at(-1), { stage: 'reconstruct', done: total, total });
});

t.test('what does not bring predictions nearer is left out', async (t) => {
  const none: TokenPruning = { rule: 'threshold', values: sentiment.spec.layers.map(() => 0) };
  const made = await reconstructDropping(sentiment, none, batch, heldOut, { loss: 'crossEntropy', macs: 1 });
  using model = made.model;
  t.strictSame(made.pruning, none);
  t.match(made.reconstruction, { kept: false, divergence: { before: 0 } });
  t.ok((await weightsOf(model, 'layers.1.ffn.out')).equals(await weightsOf(sentiment, 'layers.1.ffn.out')));
});

t.test('an abort ends it', async (t) => {
  const abort = new AbortController();
  const options = { loss: 'crossEntropy', macs, signal: abort.signal, onProgress: () => abort.abort() } as const;
  const pruning: TokenPruning = { rule: 'keepRate', values: sentiment.spec.layers.map(() => 0.8) };
  await t.rejects(reconstructDropping(sentiment, pruning, batch, heldOut, options), { code: 'ERR_CANCELLED' });
});

for (const name of ['regression', 'bert-span', 'roberta-span'] as const) {
  t.test(`a ${name} model with sub-layers that have lost every unit is solved for, too`, async (t) => {
    const golden = readGolden(`${name}.json`);
    const sequences = packSequences(golden.sequences);
    using whole = await openModel(name, { mode: 'inference' });
    const all = (units: number) => Array.from({ length: units }, (_, unit) => unit);
    const lost = (layer: number, units: number[]) => (layer === 0 ? [] : units);
    const heads = whole.spec.layers.map((shape, layer) => lost(layer, all(shape.heads)));
    const neurons = whole.spec.layers.map((shape, layer) => lost(1 - layer, all(shape.neurons)));
    using pruned = await whole.select({ heads, neurons }, 'inference');
    for (const dense of [whole, pruned]) {
      const pruning: TokenPruning = { rule: 'keepRate', values: dense.spec.layers.map(() => 0.6) };
      const options = { loss: golden.loss, macs: 1 };
      const made = await reconstructDropping(dense, pruning, sequences, sequences, options);
      using model = made.model;
      const after = made.reconstruction?.divergence.after as number;
      t.ok(after >= 0 && Number.isFinite(after));
      t.ok((await model.forward(sequences, { pruning: made.pruning })).every(Number.isFinite));
    }
  });
}
