import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { TrainReport } from '../../src/index.js';
import { demoFile } from '../data/support/demo.js';
import { runCli } from '../support/cli.js';
import { sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';

const directory = temporaryDirectory();
const path = (name: string) => join(directory, name);
const train = demoFile(directory, 'train', 32);
const evaluated = demoFile(directory, 'eval', 32);
const data = ['--task', 'sst2', '--train', train, '--max-length', '24'];
const quick = [...data, '--batch', '16'];
const read = (...parts: string[]) => readFileSync(join(directory, ...parts));

async function json(args: readonly string[]) {
  const { status, stdout, stderr } = await runCli([...args, '--json']);
  if (status !== 0) throw new Error(stderr);
  return { report: JSON.parse(stdout), lines: stderr.trimEnd().split('\n') };
}

/** The report of training.json is the printed one but for what writing took. */
function isKept(t: Test, { seconds, ...printed }: TrainReport): void {
  const { seconds: _, ...stored } = JSON.parse(readFileSync(join(printed.output as string, 'training.json'), 'utf8'));
  t.strictSame(stored, printed);
  t.strictSame(Object.keys(seconds), ['load', 'train', 'evaluate', 'write', 'total']);
  const { total, ...parts } = seconds;
  t.ok(
    Object.values(parts).reduce((sum, part) => sum + part) <= total + 1e-6,
    'the parts take no longer than the whole',
  );
}

/** Keys of every report. */
const common = ['command', 'version', 'task', 'seed', 'settings', 'device', 'threads', 'precision'];

t.test('train: the JSON of the report, a line a pass on stderr, and a checkpoint that evaluates', async (t) => {
  const output = path('tuned');
  const recipe = ['--epochs', '2', '--learning-rate', '1e-4', '--warmup', '0', '--dropout', '0.05', '--seed', '3'];
  const args = ['train', sentimentMini, ...quick, '--eval', evaluated, ...recipe, '--output', output];
  const { report, lines } = await json(args);
  t.strictSame(Object.keys(report), [
    ...[...common, 'recipes', 'epochs'],
    ...['dense', 'trained', 'seconds', 'output'],
  ]);
  t.match(report, { command: 'train', task: 'sst2', seed: 3, device: 'cpu', precision: 'fp32', output });
  t.match(report.recipes, { train: { epochs: 2, batch: 16, learningRate: 1e-4, warmup: 0, dropout: 0.05 } });
  for (const epoch of report.epochs) {
    t.strictSame(Object.keys(epoch), ['stage', 'epoch', 'loss', 'tokensPerSecond', 'metrics']);
  }
  isKept(t, report);
  t.equal(lines.length, 6);
  for (const [n, expected] of [
    /^evaluate before: 32\/32, \d+\.\d s$/,
    /^train 1\/2: 2\/2, loss \d\.\d{4}, \d+\.\d s$/,
    /^evaluate train 1: 32\/32, /,
    /^train 2\/2: 2\/2, loss /,
    /^evaluate train 2: /,
    /^evaluate after: /,
  ].entries()) {
    t.match(lines[n], expected);
  }
  const again = await json(['evaluate', output, '--eval', evaluated, '--max-length', '24']);
  t.strictSame(again.report.metrics, report.trained);

  const refused = await runCli(args);
  t.equal(refused.status, 1);
  t.match(refused.stderr, /^espalier: .*tuned exists \(give another directory, or --force to replace it\)\n$/);
  const { status, stdout } = await runCli([...args, '--force', '--quiet']);
  t.equal(status, 0);
  t.match(
    stdout,
    /^ +before +after.*\naccuracy .*\n\nloss +\d\.\d{4}\ntrained +\d+ tokens\/s\ntime .* s\nwritten to +\//s,
  );
});

t.test('train from a teacher, with a new head, in another dtype', async (t) => {
  const output = path('distilled');
  const teacher = ['--teacher', sentimentMini, '--distill-labels', '0', '--distill-hidden', '0.5', '--new-head'];
  const { report } = await json([
    ...['train', sentimentMini, ...quick, ...teacher, '--epochs', '1', '--dtype', 'f32', '--output', output],
  ]);
  t.notOk('dense' in report || 'trained' in report, 'without --eval there are no metrics');
  t.equal((await json(['inspect', output])).report.dtype, 'f32');
});

t.test('tokens train: what is lost and kept, at the budget', async (t) => {
  const output = path('learned');
  const stages = ['--soft-epochs', '1', '--hard-epochs', '2', '--lambda', '0.2', '--hard-learning-rate', '1e-5'];
  const args = ['tokens', 'train', sentimentMini, ...quick, '--eval', evaluated, ...stages, '--macs', '0.6'];
  const { report, lines } = await json([...args, '--output', output]);
  t.strictSame(Object.keys(report), [
    ...[...common, 'method', 'recipes', 'epochs'],
    ...['dense', 'trained', 'tokenPruning', 'dropping', 'seconds', 'output'],
  ]);
  t.match(report, { command: 'tokens train', method: 'learned', tokenPruning: { rule: 'threshold' } });
  t.match(report.recipes, { soft: { epochs: 1, learningRate: 5e-5 }, hard: { epochs: 2, learningRate: 1e-5 } });
  t.strictSame(Object.keys(report.epochs[2]), [
    ...['stage', 'epoch', 'loss', 'tokensPerSecond', 'thresholds', 'metrics', 'dropping'],
  ]);
  t.ok(Math.abs(report.dropping.macs - 0.6) < 0.2, `${report.dropping.macs}, counted on other texts`);
  isKept(t, report);
  const trained = lines.filter((line) => /^(soft|hard) /.test(line));
  t.equal(trained.length, 3);
  for (const line of trained) {
    t.match(
      line,
      /^(soft 1\/1|hard [12]\/2): 2\/2, loss \d\.\d{4}, tokens kept( \d+){4} %, thresholds( \d\.\d{4}){4}, /,
    );
  }
});

t.test('tokens calibrate: texts are enough', async (t) => {
  const output = path('calibrated');
  const args = ['tokens', 'calibrate', sentimentMini, ...data, '--eval', evaluated, '--macs', '0.7', '--samples', '24'];
  const { report, lines } = await json([...args, '--output', output]);
  t.strictSame(Object.keys(report), [
    ...[...common, 'method', 'recipes', 'epochs'],
    ...['dense', 'trained', 'tokenPruning', 'reconstruction', 'dropping', 'seconds', 'output'],
  ]);
  t.match(report, { command: 'tokens calibrate', method: 'calibrated', tokenPruning: { rule: 'threshold' } });
  isKept(t, report);
  t.match(lines[1], /^calibrate: 100\/100, [67]\d\.\d % of the MACs left, \d+\.\d s$/);
  const { status, stdout } = await runCli([...args, '--output', output, '--force', '--quiet']);
  t.equal(status, 0);
  t.match(stdout, /\n\nMACs of all tokens +\d+\.\d %\ntokens kept per layer( +\d+(\.\d)? %){4}\nnew projections /);
  t.match(stdout, /\nnew projections +(kept|left out): divergence .*\ntime /);
  const plain = await json([...args, '--output', output, '--force', '--no-reconstruct']);
  t.notOk('reconstruction' in plain.report);
});

t.test('a checkpoint that drops tokens goes through every other command', async (t) => {
  const checkpoint = path('learned');
  const { tokenPruning, trained, dropping } = JSON.parse(String(read('learned', 'training.json')));
  const options = ['--max-length', '24'];
  const { report: metrics } = await json(['evaluate', checkpoint, '--eval', evaluated, ...options]);
  t.strictSame([metrics.metrics, metrics.dropping], [trained, dropping]);
  t.strictSame((await json(['inspect', checkpoint])).report.tokenPruning, tokenPruning);
  t.match((await runCli(['inspect', checkpoint])).stdout, /\nlayer +heads +neurons +token threshold\n0 +6 +768 +0/);
  t.match((await json(['predict', checkpoint, 'Fine.'])).report, { label: /^(pos|neg)itive$/ });
  const bench = [
    'bench',
    checkpoint,
    '--against',
    sentimentMini,
    '--batch',
    '2',
    '--texts',
    evaluated,
    '--rounds',
    '2',
  ];
  t.ok((await json([...bench, '--task', 'sst2'])).report.rows[0].speedup.median > 0);
  const [onnx, dense] = [path('model.onnx'), path('dense')];
  const exported = await json(['export', checkpoint, '--onnx', onnx, '--dense', dense]);
  t.ok(existsSync(onnx));
  t.match(exported.lines.at(-1), /^espalier: warning: the dense copy drops no tokens/);
  t.notOk('tokenPruning' in (await json(['inspect', dense])).report);
});

t.test('a checkpoint of keep rates too, but for ONNX', async (t) => {
  const [checkpoint, onnx] = [path('top-k'), path('top-k.onnx')];
  const stages = ['--method', 'top-k', '--macs', '0.7', '--hard-epochs', '1'];
  await json(['tokens', 'train', sentimentMini, ...quick, ...stages, '--output', checkpoint]);
  t.match((await runCli(['inspect', checkpoint])).stdout, /\nlayer +heads +neurons +token keep rate\n0 +6 +768 +1/);
  const { report } = await json(['evaluate', checkpoint, '--eval', evaluated, '--max-length', '24']);
  t.ok(report.dropping.macs < 0.8);
  const { status, stdout } = await runCli(['export', checkpoint, '--onnx', onnx, '--json']);
  t.equal(status, 1);
  t.equal(JSON.parse(stdout).error.code, 'ERR_UNSUPPORTED');
  t.notOk(existsSync(onnx));
});
