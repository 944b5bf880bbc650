import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  type LatencyProfile,
  loadModel,
  type ProfileOptions,
  type ProgressEvent,
  profile,
  prune,
} from '../../src/index.js';
import { runCli } from '../support/cli.js';
import { demoData, sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';

const directory = temporaryDirectory();
const small: ProfileOptions = { batch: 4, length: 12, rounds: 2 };
const rounds = ({ rest, whole, inner, last }: LatencyProfile) =>
  [rest, whole, ...inner.attention, ...inner.ffn, ...(last?.attention ?? []), ...(last?.ffn ?? [])].map(
    ({ samples }) => samples.length,
  );

t.test('every width of attention and several of the FFN are measured as often as asked', async (t) => {
  await using model = await loadModel(sentimentMini);
  const events: ProgressEvent[] = [];
  const measured = await profile(model, { ...small, onProgress: (event) => events.push(event) });
  const { heads, neurons } = model.checkpoint.spec.layers[0] as { heads: number; neurons: number };
  t.same(measured.lengths, [12, 12, 12, 12]);
  t.same(
    measured.inner.attention.map(({ units }) => units),
    Array.from({ length: heads }, (_, i) => i + 1),
  );
  t.equal(measured.inner.ffn[0]?.units, 16);
  t.equal(measured.inner.ffn.at(-1)?.units, neurons);
  t.ok(measured.last, 'a classifier has a table of its last layer');
  t.same(new Set(rounds(measured)), new Set([2]));
  const last = events.at(-1);
  t.ok(last?.done === last?.total, 'progress reaches its end');
});

t.test('lengths are those of the texts, up to the limit', async (t) => {
  await using model = await loadModel(sentimentMini);
  const texts = [{ text: 'Fine.' }, { text: 'a '.repeat(300) }];
  const { lengths } = await profile(model, { batch: 6, rounds: 1, task: 'sst2', texts, maxLength: 20 });
  t.equal(lengths.length, 6);
  t.same(new Set(lengths), new Set([4, 20]));
  const data = await profile(model, { batch: 8, rounds: 1, task: 'sst2', texts: demoData('train') });
  t.equal(data.lengths.length, 8);
});

t.test('an interrupted profile goes on where its last round ended', async (t) => {
  await using model = await loadModel(sentimentMini);
  const output = join(directory, 'profile.json');
  const stop = new AbortController();
  const onProgress = ({ done, total }: ProgressEvent) => {
    if (done > 0.6 * total) stop.abort();
  };
  const interrupted = profile(model, { ...small, output, signal: stop.signal, onProgress });
  await t.rejects(interrupted, { code: 'ERR_CANCELLED' });
  const kept: LatencyProfile = JSON.parse(readFileSync(output, 'utf8'));
  t.same(new Set(rounds(kept)), new Set([1]));

  const finished = await profile(model, { ...small, output });
  t.same(new Set(rounds(finished)), new Set([2]));
  t.equal(finished.rest.samples[0], kept.rest.samples[0]);
  t.strictSame(JSON.parse(readFileSync(output, 'utf8')), finished);
  t.strictSame(await profile(model, { ...small, output }), finished, 'a finished one is not measured again');

  const another = { ...small, output, length: 13 };
  await t.rejects(profile(model, another), { code: 'ERR_OUTPUT', message: /another model, batch or machine/ });
  t.same((await profile(model, { ...another, force: true })).lengths, [13, 13, 13, 13]);
  writeFileSync(output, 'notes');
  await t.rejects(profile(model, { ...small, output }), { code: 'ERR_DATA', message: /no latency profile/ });
  t.equal(readFileSync(output, 'utf8'), 'notes', 'what is no profile stays');
});

t.test('a length that the model has no position for is an error, and a directory as output', async (t) => {
  await using model = await loadModel(sentimentMini);
  await t.rejects(profile(model, { length: 513 }), { code: 'ERR_OPTION', message: /no position for 513 tokens/ });
  await t.rejects(profile(model, { ...small, output: directory }), { code: 'ERR_OUTPUT', message: /no regular file/ });
});

t.test('pruning to a latency spends the profile, measured before or now', async (t) => {
  await using model = await loadModel(sentimentMini);
  const options = { task: 'sst2', train: demoData('train'), samples: 64, constraint: 'latency' as const };
  const measured = await profile(model, { batch: 32, length: 24, rounds: 3 });
  // So that the test does not depend on the clock: attention is dear, and an FFN costs by its width.
  const cheap = { ...measured, rest: { samples: [1] } };
  for (const table of [cheap.inner, cheap.last as LatencyProfile['inner']]) {
    table.attention = table.attention.map(({ units }) => ({ units, samples: [1000 * units] }));
    table.ffn = table.ffn.map(({ units }) => ({ units, samples: [units] }));
  }
  await using result = await prune(model, { ...options, profile: cheap, keep: 0.5 });
  const { layers } = model.checkpoint.spec;
  const seconds = (shapes: typeof layers) =>
    shapes.reduce((sum, { heads, neurons }) => sum + 1000 * heads + neurons, 1);
  t.strictSame(result.report.constraint, { kind: 'latency', keep: 0.5 });
  t.equal(result.report.achieved.latency, seconds(result.report.layers) / seconds(layers));
  t.ok(seconds(result.report.layers) <= 0.5 * seconds(layers));
  t.ok(seconds(result.report.layers) > 0.5 * seconds(layers) - 1100, 'little is left over');

  await using atOnce = await prune(model, { ...options, keep: 0.7 });
  t.ok((atOnce.report.achieved.latency as number) <= 0.7);
  await using kwon = await prune(model, { ...options, keep: 0.5, preset: 'kwon', profile: cheap });
  t.ok((kwon.report.achieved.latency as number) <= 0.5);
  t.ok((kwon.report.achieved.latency as number) > 0.4);
  await t.rejects(prune(model, { ...options, keep: 0.5, constraint: 'macs', profile: cheap }), { code: 'ERR_OPTION' });
  await t.rejects(prune(model, { ...options, keep: 1e-6, profile: cheap }), { code: 'ERR_TARGET' });
  await t.rejects(prune(model, { ...options, keep: 0.5, profile: 'absent.json' }), {
    code: 'ERR_DATA',
    message: /cannot read absent\.json/,
  });
});

t.test('texts that come on standard input are read once, for the profile and for what follows', async (t) => {
  const text = readFileSync(demoData('train'), 'utf8');
  const pruned = join(directory, 'pruned');
  const prune = [
    'prune',
    sentimentMini,
    '--task',
    'sst2',
    '--format',
    'tsv',
    '--train',
    '-',
    '--constraint',
    'latency',
    '--keep',
    '0.7',
  ];
  const result = await runCli([...prune, '--samples', '32', '--output', pruned, '--json', '--quiet'], { input: text });
  t.equal(result.status, 0, result.stderr);
  t.strictSame(JSON.parse(result.stdout).constraint, { kind: 'latency', keep: 0.7 });
  const bench = [
    'bench',
    sentimentMini,
    '--task',
    'sst2',
    '--format',
    'tsv',
    '--texts',
    '-',
    '--batch',
    '2,3',
    '--rounds',
    '1',
    '--json',
  ];
  const measured = await runCli([...bench, '--quiet'], { input: text });
  t.equal(measured.status, 0, measured.stderr);
  t.equal(JSON.parse(measured.stdout).rows.length, 2);
});
