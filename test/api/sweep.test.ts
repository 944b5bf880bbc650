import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { evaluate, loadModel, prune, type SweepOptions, type SweepReport, sweep } from '../../src/index.js';
import { demoExamples } from '../data/support/demo.js';
import { runCli } from '../support/cli.js';
import { demoData, sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';

const directory = temporaryDirectory();
const train = demoData('train');
const options = { task: 'sst2', train, eval: demoData('eval'), samples: 64 };
const args = (output: string, keep: string, ...more: string[]) => [
  ...['sweep', sentimentMini, '--task', 'sst2', '--train', train, '--eval', demoData('eval'), '--samples', '64'],
  ...['--keep', keep, '--output', output, '--quiet', ...more],
];
const reportOf = (output: string): SweepReport => JSON.parse(readFileSync(join(output, 'sweep.json'), 'utf8'));
const writtenAt = (output: string, keep: number) => statSync(join(output, `keep-${keep}`, 'pruning.json')).mtimeMs;

t.test('several budgets, each a checkpoint that does what its report says, with its latency', async (t) => {
  const output = join(directory, 'several');
  const stages: string[] = [];
  await using model = await loadModel(sentimentMini);
  const onProgress = ({ stage }: { stage: string }) => stages.push(stage);
  const report = await sweep(model, { ...options, keeps: [0.3, 0.6, 0.3], output, onProgress });
  t.strictSame(
    report.budgets.map(({ keep }) => keep),
    [0.6, 0.3],
  );
  t.strictSame(reportOf(output), JSON.parse(JSON.stringify(report)));
  for (const { keep, directory, report: pruned, latency } of report.budgets) {
    t.ok(pruned.achieved.macs <= keep);
    t.ok(latency && latency.batch === 256 && latency.speedup.median > 0);
    await using smaller = await loadModel(directory);
    const { metrics } = await evaluate(smaller, { task: 'sst2', examples: options.eval });
    t.strictSame(metrics, pruned.pruned);
  }
  t.equal(stages.filter((stage) => stage === 'curves').length, 8, 'the curves are measured once');
  t.match(readFileSync(join(output, 'report.html'), 'utf8'), 'sst2: 2 budgets of MACs');
});

t.test('what is there is gone on with, unless the settings differ', async (t) => {
  const output = join(directory, 'again');
  await using model = await loadModel(sentimentMini);
  const run = (more: Partial<SweepOptions>) => sweep(model, { ...options, keeps: [0.5], output, ...more });
  const [first] = (await run({})).budgets;
  const written = writtenAt(output, 0.5);
  const { budgets } = await run({ keeps: [0.5, 0.2], jobs: 2 });
  t.strictSame(budgets[0], JSON.parse(JSON.stringify(first)), 'neither pruned nor measured again');
  t.equal(writtenAt(output, 0.5), written);
  t.equal(budgets.length, 2);
  t.strictSame((await run({})).budgets, budgets, 'what an earlier one added stays');
  rmSync(join(output, 'keep-0.2'), { recursive: true });
  const [, anew] = (await run({})).budgets;
  t.strictSame(anew?.report.layers, budgets[1]?.report.layers);
  t.strictNotSame(anew?.latency, budgets[1]?.latency, 'a checkpoint that was gone is measured anew');
  await t.rejects(run({ seed: 1 }), { code: 'ERR_OUTPUT', message: /holds a sweep with other settings/ });
  t.equal((await run({ seed: 1, force: true })).settings.seed, 1);
  t.not(writtenAt(output, 0.5), written);
  t.notOk(existsSync(join(output, 'keep-0.2')), "the other sweep's budgets are gone");
});

t.test('other examples and another model, by whatever name, are no results of this one', async (t) => {
  const output = join(directory, 'renamed');
  await using model = await loadModel(sentimentMini);
  const run = (more: Partial<SweepOptions>, from = model) =>
    sweep(from, { ...options, train: examples, keeps: [0.5], output, ...more });
  const examples = demoExamples('train', 24);
  await run({});
  await t.rejects(run({ train: examples.toReversed() }), { code: 'ERR_OUTPUT', message: /other settings/ });
  await using smaller = await prune(model, { ...options, train: examples, keep: 0.9 });
  t.equal(smaller.model.checkpoint.directory, model.checkpoint.directory);
  await t.rejects(run({}, smaller.model), { code: 'ERR_OUTPUT', message: /other settings/ });
});

t.test('latencies that were measured with other threads are measured anew', async (t) => {
  const output = join(directory, 'threads');
  const latencyWith = async (threads: number) => {
    await using model = await loadModel(sentimentMini, { threads });
    const { budgets } = await sweep(model, { ...options, keeps: [0.5], output });
    return budgets[0]?.latency;
  };
  const one = await latencyWith(1);
  t.strictSame(await latencyWith(1), JSON.parse(JSON.stringify(one)));
  t.strictNotSame(await latencyWith(2), one);
});

t.test('force removes an earlier sweep only once there is something to put in its place', async (t) => {
  const output = join(directory, 'forced');
  await using model = await loadModel(sentimentMini);
  const run = (more: Partial<SweepOptions>) => sweep(model, { ...options, keeps: [0.5], output, force: true, ...more });
  const before = await run({});
  await t.rejects(run({ train: 'missing.tsv' }), { code: 'ERR_DATA' });
  await t.rejects(run({ eval: 'missing.tsv' }), { code: 'ERR_DATA' });
  t.strictSame(reportOf(output), JSON.parse(JSON.stringify(before)));
  t.ok(existsSync(join(output, 'keep-0.5', 'model.safetensors')));
});

t.test('data that are read otherwise are other data', async (t) => {
  const output = join(directory, 'columns');
  await using model = await loadModel(sentimentMini);
  const run = (more: Partial<SweepOptions>) => sweep(model, { ...options, keeps: [0.5], output, ...more });
  await run({});
  for (const more of [{ columns: { text: 'label' } }, { format: 'tsv' as const }, { maxLength: 8 }]) {
    await t.rejects(run(more), { code: 'ERR_OUTPUT', message: /other settings/ }, JSON.stringify(more));
  }
});

t.test("latency without a profile: one is measured, and the directory is still the sweep's", async (t) => {
  const output = join(directory, 'latency');
  await using model = await loadModel(sentimentMini);
  const report = await sweep(model, { ...options, constraint: 'latency', keeps: [0.6], output });
  t.ok((report.budgets[0]?.report.achieved.latency as number) <= 0.6);
  t.strictSame(readdirSync(output).sort(), ['keep-0.6', 'report.html', 'sweep.json']);
});

t.test('a sweep that is killed goes on where it was', async (t) => {
  const output = join(directory, 'killed');
  const finished = join(output, 'keep-0.7');
  const killed = await runCli(args(output, '0.7,0.5,0.3,0.2'), {
    onStart: (child) => {
      const watch = setInterval(() => existsSync(finished) && child.kill('SIGKILL'), 5);
      child.once('exit', () => clearInterval(watch));
    },
  });
  t.equal(killed.status, 'SIGKILL');
  t.ok(readdirSync(output).length < 6, 'it had not finished');
  const written = writtenAt(output, 0.7);
  const { status, stdout, stderr } = await runCli(args(output, '0.7,0.5,0.3,0.2', '--json'));
  t.equal(status, 0, stderr);
  t.equal(writtenAt(output, 0.7), written, 'the finished budget is not repeated');
  t.strictSame(
    JSON.parse(stdout).budgets.map(({ keep }: { keep: number }) => keep),
    [0.7, 0.5, 0.3, 0.2],
  );
});

t.test('two sweeps on one directory both end with the whole of it', async (t) => {
  const output = join(directory, 'two');
  const both = await Promise.all([1, 2].map(() => runCli(args(output, '0.6,0.4', '--json'))));
  for (const { status, stdout, stderr } of both) {
    t.equal(status, 0, stderr);
    t.equal(JSON.parse(stdout).budgets.length, 2);
  }
  for (const { directory, report, latency } of reportOf(output).budgets) {
    t.ok(latency);
    await using model = await loadModel(directory);
    t.strictSame(model.checkpoint.spec.layers, report.layers);
  }
  t.strictSame(readdirSync(output).sort(), ['keep-0.4', 'keep-0.6', 'report.html', 'sweep.json']);
});

t.test('directories that are not of a sweep, and bad options, are refused', async (t) => {
  const output = join(directory, 'other');
  mkdirSync(output);
  writeFileSync(join(output, 'precious.txt'), '');
  await using model = await loadModel(sentimentMini);
  const run = (more: Partial<SweepOptions>) => sweep(model, { ...options, keeps: [0.5], output, force: true, ...more });
  await t.rejects(run({}), { code: 'ERR_OUTPUT', message: /is no directory of a sweep/ });
  writeFileSync(join(output, 'sweep.json'), '{');
  await t.rejects(run({}), { code: 'ERR_OUTPUT', message: /sweep.json that cannot be read/ });
  writeFileSync(join(output, 'sweep.json'), '{}');
  await t.rejects(run({}), { code: 'ERR_OUTPUT', message: /sweep.json that is not of espalier sweep/ });
  rmSync(output, { recursive: true });
  await t.rejects(run({ keeps: [0.5, 0] }), { code: 'ERR_OPTION', message: /keep must be above 0/ });
  await t.rejects(run({ keeps: [] }), { code: 'ERR_OPTION', message: /no budget/ });
  await t.rejects(run({ signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' });
  await t.rejects(run({ eval: 'missing.tsv' }), { code: 'ERR_DATA' });
  t.notOk(existsSync(output));
  const { status, stderr } = await runCli(args(output, '0.5,2'));
  t.equal(status, 2);
  t.match(stderr, /--keep cannot be '0.5,2' \(give numbers above 0, at most 1, separated by commas\)/);
});
