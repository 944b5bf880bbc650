import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  type EspalierError,
  evaluate,
  train as fineTune,
  loadModel,
  type ProgressEvent,
  predict,
  prune,
} from '../../src/index.js';
import { demoData, sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';
import { writeDropping } from './support/checkpoints.js';

const directory = temporaryDirectory();
const train = demoData('train');

t.test('the README in code: load, prune, save, load, evaluate', async (t) => {
  const model = await loadModel(sentimentMini);
  const events: ProgressEvent[] = [];
  const result = await prune(model, {
    task: 'sst2',
    train,
    eval: demoData('eval'),
    keep: 0.6,
    samples: 128,
    onProgress: (event) => events.push(event),
  });
  t.strictSame(await result.save(join(directory, 'smaller')).then(({ pruned }) => pruned), result.report.pruned);

  const fromMemory = await evaluate(result.model, { task: 'sst2', examples: demoData('eval') });
  await using reloaded = await loadModel(join(directory, 'smaller'));
  const fromDisk = await evaluate(reloaded, { examples: demoData('eval') });
  t.strictSame(fromMemory.metrics, result.report.pruned);
  t.strictSame(fromDisk.metrics, result.report.pruned);

  for (const stage of ['evaluate dense', 'gradients', 'curves', 'reconstruct', 'evaluate pruned']) {
    const last = events.findLast((event) => event.stage === stage);
    t.ok(last && last.done === last.total, `progress of ${stage} reaches its end`);
  }
  await result.dispose();
  await t.rejects(evaluate(result.model, { task: 'sst2', examples: demoData('eval') }), 'a disposed model is refused');
  const [dense] = await predict(model, ['What a lovely surprise!']);
  t.match(dense, { label: 'positive' }, 'the dense model is unchanged and still open');
  await model.dispose();
});

t.test('examples may be objects', async (t) => {
  await using model = await loadModel(sentimentMini);
  const examples = [
    { text: 'An absolute delight.', label: 1 },
    { text: 'Truly awful.', label: 0 },
    { text: 'Truly awful.', label: 1 },
  ];
  const { metrics, examples: count } = await evaluate(model, { task: 'classification', examples });
  t.strictSame(metrics, { accuracy: 2 / 3 });
  t.equal(count, 3);
});

t.test('of a model that drops tokens every prediction says what is left of its own work', async (t) => {
  await using dense = await loadModel(sentimentMini);
  const values = [0.02, 0.04, 0.06, 0];
  await using model = await loadModel(writeDropping(join(directory, 'dropping'), { rule: 'threshold', values }));
  const texts = ['Awful.', 'It begins slowly, then it drags on, and in the end nothing at all has happened.'];
  const predictions = await predict(model, texts);
  for (const [index, text] of texts.entries()) {
    const { dropping } = await evaluate(model, { task: 'classification', examples: [{ text, label: 0 }] });
    t.equal(predictions[index]?.macs, dropping?.macs);
  }
  t.ok((predictions[1]?.macs as number) < (predictions[0]?.macs as number), 'long texts lose more');
  t.notOk('macs' in ((await predict(dense, texts))[0] as object));
});

t.test('a tokenizer with more tokens than the model has embeddings is refused', async (t) => {
  const mixed = join(directory, 'mixed');
  cpSync(sentimentMini, mixed, { recursive: true });
  const file = join(mixed, 'tokenizer.json');
  const tokenizer = JSON.parse(readFileSync(file, 'utf8'));
  tokenizer.model.vocab.onemore = Object.keys(tokenizer.model.vocab).length;
  writeFileSync(file, JSON.stringify(tokenizer));
  await t.rejects(loadModel(mixed), { code: 'ERR_TOKENIZER', message: /7001 tokens, the model 7000/ });
});

t.test('an aborted run rejects with ERR_CANCELLED, and the model stays usable', async (t) => {
  await using model = await loadModel(sentimentMini);
  const abort = new AbortController();
  const run = prune(model, {
    task: 'sst2',
    train,
    keep: 0.5,
    signal: abort.signal,
    onProgress: ({ stage, done }) => {
      if (stage === 'gradients' && done > 0) abort.abort();
    },
  });
  await t.rejects(run, { name: 'EspalierError', code: 'ERR_CANCELLED' } as EspalierError);
  t.match(await predict(model, ['Truly awful.']), [{ label: 'negative' }]);
});

t.test('no examples, and batches of none, are refused', async (t) => {
  await using model = await loadModel(sentimentMini);
  const data = { task: 'sst2', examples: demoData('eval') };
  await t.rejects(evaluate(model, { ...data, examples: [] }), { code: 'ERR_DATA', message: /no examples/ });
  for (const batch of [0, 2.5]) await t.rejects(evaluate(model, { ...data, batch }), { code: 'ERR_OPTION' });
  await t.rejects(fineTune(model, { task: 'sst2', train: [] }), { code: 'ERR_DATA', message: /no examples/ });
});

t.test('--stages without evaluation data is refused before any work', async (t) => {
  await using model = await loadModel(sentimentMini);
  await t.rejects(prune(model, { task: 'sst2', train, keep: 0.5, stages: true }), { code: 'ERR_OPTION' });
});
