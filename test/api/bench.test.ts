import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type BenchRow, bench, loadModel, type ProgressEvent, prune } from '../../src/index.js';
import { runCli } from '../support/cli.js';
import { demoData, sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';
import { writeTinyQuestionAnswering } from '../support/tiny-question-answering.js';

const directory = temporaryDirectory();
const path = (name: string) => join(directory, name);
/** Of different lengths. */
const texts = [{ text: 'Fine.' }, { text: 'It is neither very good nor all that bad, and rather long.' }];

t.test('a model by itself: every batch size with every length', async (t) => {
  await using model = await loadModel(sentimentMini);
  const events: ProgressEvent[] = [];
  const report = await bench(model, {
    batches: [1, 3],
    lengths: [5, 9],
    rounds: 3,
    onProgress: (event) => events.push(event),
  });
  t.same(
    report.rows.map(({ batch, length, tokens }) => [batch, length, tokens]),
    [
      [1, 5, 5],
      [1, 9, 9],
      [3, 5, 15],
      [3, 9, 27],
    ],
  );
  for (const { latency, tokens, tokensPerSecond, speedup } of report.rows) {
    const { lowest, median, p90, p99, highest } = latency;
    t.ok(0 < lowest && lowest <= median && median <= p90 && p90 <= p99 && p99 <= highest);
    t.equal(tokensPerSecond, tokens / median);
    t.equal(speedup, undefined);
  }
  t.strictSame(events.at(-1), { stage: 'bench', done: 16, total: 16 });
  t.notOk('peakDeviceBytes' in report, "the CPU's memory is the host's");
});

t.test('a model against another, with the lengths of texts', async (t) => {
  await using model = await loadModel(sentimentMini);
  await using other = await loadModel(sentimentMini);
  const one = texts.slice(0, 1);
  const { against, rows } = await bench(model, { against: other, batches: [4], texts: one, task: 'sst2', rounds: 3 });
  t.equal(against, sentimentMini);
  t.equal(rows.length, 1);
  const [row] = rows as [BenchRow];
  t.equal(row.tokens, 16);
  t.equal(row.length, undefined);
  t.equal(row.paddedTokens, undefined);
  t.ok(row.against);
  t.ok(row.speedup && row.speedup.lowest <= row.speedup.median && row.speedup.median <= row.speedup.highest);
});

t.test('a model against one that knows fewer tokens', async (t) => {
  await using model = await loadModel(sentimentMini);
  await using other = await loadModel(writeTinyQuestionAnswering(path('few')));
  t.ok(other.checkpoint.spec.vocabularySize < model.checkpoint.spec.vocabularySize);
  const { rows } = await bench(model, { against: other, batches: [3], texts, task: 'sst2', rounds: 1 });
  t.ok(rows[0]?.speedup);
});

t.test('models on different threads do not compare, and a run can be cancelled', async (t) => {
  await using model = await loadModel(sentimentMini, { threads: 1 });
  await using other = await loadModel(sentimentMini, { threads: 2 });
  await t.rejects(bench(model, { against: other }), { code: 'ERR_OPTION' });
  const signal = AbortSignal.abort();
  await t.rejects(bench(model, { signal }), { code: 'ERR_CANCELLED' });
});

t.test('a model against onnxruntime, which pads', async (t) => {
  await using model = await loadModel(sentimentMini);
  const events: ProgressEvent[] = [];
  const onProgress = (event: ProgressEvent) => events.push(event);
  const options = { against: 'onnxruntime', batches: [1, 8], task: 'sst2', texts, rounds: 3, onProgress } as const;
  const report = await bench(model, options);
  t.match(report.against, /^onnxruntime \d+\.\d+/);
  const [single, several] = report.rows as [BenchRow, BenchRow];
  t.equal(single.paddedTokens, single.tokens);
  t.ok((several.paddedTokens as number) > several.tokens, 'the texts are of different lengths');
  t.equal((several.paddedTokens as number) % 8, 0);
  for (const { tokens, against, speedup } of report.rows) {
    t.ok(against && against.tokensPerSecond === tokens / against.latency.median, 'padding does not count');
    t.ok(speedup && 0 < speedup.lowest && speedup.lowest <= speedup.median && speedup.median <= speedup.highest);
  }
  t.strictSame(events.at(-1), { stage: 'bench', done: 16, total: 16 });
});

t.test('a pruned model and one for question answering give the same logits in onnxruntime', async (t) => {
  await using model = await loadModel(sentimentMini);
  await using result = await prune(model, { task: 'sst2', train: demoData('train'), samples: 32, keep: 0.4 });
  await using answering = await loadModel(writeTinyQuestionAnswering(path('squad')));
  for (const other of [result.model, answering]) {
    const { rows } = await bench(other, { against: 'onnxruntime', batches: [3], lengths: [20], rounds: 1 });
    t.same(
      rows.map(({ tokens, paddedTokens }) => [tokens, paddedTokens]),
      [[60, 60]],
    );
  }
});

t.test('onnxruntime computes on the CPU, and a Python is for PyTorch', async (t) => {
  await using reference = await loadModel(sentimentMini, { device: 'reference' });
  await t.rejects(bench(reference, { against: 'onnxruntime' }), { code: 'ERR_OPTION', message: /computes on the CPU/ });
  await using model = await loadModel(sentimentMini);
  const message = /\(give --against pytorch too\)$/;
  await t.rejects(bench(model, { python: 'python3' }), { code: 'ERR_OPTION', message });
  await t.rejects(bench(model, { python: 'python3', against: 'onnxruntime' }), { code: 'ERR_OPTION', message });
});

t.test('where onnxruntime-node is not installed, the command says how to have it', async (t) => {
  const args = ['bench', sentimentMini, '--against', 'onnxruntime', '--batch', '1', '--length', '4', '--quiet'];
  const { status, stderr } = await runCli(args, { env: { NODE_OPTIONS: withoutPackage('onnxruntime-node') } });
  t.equal(status, 2);
  t.match(
    stderr,
    /^espalier: onnxruntime-node does not load: Cannot find package.* \(npm install onnxruntime-node\)\n$/,
  );
});

/** Options of a Node.js that does not find a package. */
function withoutPackage(name: string): string {
  const url = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
  const hook = url(`export const resolve = (specifier, context, next) => {
    if (specifier === '${name}') throw new Error('Cannot find package');
    return next(specifier, context);
  }`);
  return `--import=${url(`import { register } from 'node:module'; register(${JSON.stringify(hook)});`)}`;
}

t.test('the command shows what each sequence is padded to', async (t) => {
  const data = ['--task', 'sst2', '--texts', demoData('eval'), '--batch', '8', '--rounds', '1'];
  const { status, stdout, stderr } = await runCli(['bench', sentimentMini, '--against', 'onnxruntime', ...data]);
  t.equal(status, 0, stderr);
  const [, own, other] = stdout.split('\n').map((line) => line.trim().split(/ {2,}/)) as [string[], string[], string[]];
  t.equal(own[0], sentimentMini);
  t.match(other[0], /^onnxruntime \d/);
  t.ok(Number(other[2]) > Number(own[2]));
});

t.test('the command ends with 3 where a speed-up that was expected is missed', async (t) => {
  await using model = await loadModel(sentimentMini);
  await using result = await prune(model, { task: 'sst2', train: demoData('train'), samples: 32, keep: 0.3 });
  await result.save(path('pruned'));
  const args = [
    'bench',
    path('pruned'),
    '--against',
    sentimentMini,
    '--batch',
    '8',
    '--length',
    '16,32',
    '--rounds',
    '3',
  ];
  const page = path('bench.html');
  const reached = await runCli([...args, '--expect-speedup', '0.001', '--json', '--report', page]);
  t.equal(reached.status, 0, reached.stderr);
  const { command, rows } = JSON.parse(reached.stdout);
  t.equal(command, 'bench');
  t.match(readFileSync(page, 'utf8'), '<h2>Speed-up</h2>');
  t.equal(rows.length, 2);
  const missed = await runCli([...args, '--expect-speedup', '1000', '--quiet']);
  t.equal(missed.status, 3);
  t.match(missed.stderr, /^espalier: [\d.]+ times as fast, 1000 were expected\n$/);
  t.match(missed.stdout, /speed-up/);
});
