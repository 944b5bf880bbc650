import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  evaluate,
  loadModel,
  type TokensSweepOptions,
  type TokensSweepReport,
  tokensSweep,
  trainTokens,
} from '../../src/index.js';
import { demoFile } from '../data/support/demo.js';
import { runCli } from '../support/cli.js';
import { sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';
import { writeTinyRegression } from './support/checkpoints.js';

const directory = temporaryDirectory();

const epoch = { epochs: 1, batch: 16 };
const data = {
  task: 'sst2',
  train: demoFile(directory, 'train', 32),
  eval: demoFile(directory, 'eval', 32),
  maxLength: 16,
};
const options = { ...data, soft: epoch, hard: epoch };
const args = (output: string, ...more: string[]) => [
  ...['tokens', 'sweep', sentimentMini, '--task', 'sst2', '--train', data.train, '--eval', data.eval, '--quiet'],
  ...['--max-length', '16', '--batch', '16', '--soft-epochs', '1', '--hard-epochs', '1', '--output', output, ...more],
];
const reportOf = (output: string): TokensSweepReport => JSON.parse(readFileSync(join(output, 'tokens.json'), 'utf8'));
const namesOf = ({ runs }: TokensSweepReport) => runs.map(({ name }) => name);
const writtenAt = (output: string, name: string) => statSync(join(output, name, 'training.json')).mtimeMs;

t.test('methods, budgets and lambdas, each a checkpoint that does what its report says', async (t) => {
  const output = join(directory, 'several');
  await using model = await loadModel(sentimentMini);
  const wanted = { methods: ['top-k', 'learned'] as const, macs: [0.6, 0.6], lambdas: [0.2] };
  const report = await tokensSweep(model, { ...options, ...wanted, output });
  t.strictSame(namesOf(report), ['learned-0.6', 'top-k-0.6', 'learned-lambda-0.2']);
  t.strictSame(reportOf(output), JSON.parse(JSON.stringify(report)));
  t.strictSame(readdirSync(output).sort(), [...namesOf(report), 'report.html', 'tokens.json'].sort());
  for (const { macs, lambda, method, directory, report: trained, latency } of report.runs) {
    t.equal(trained.method, method);
    t.ok(latency && latency.batch === 256 && latency.speedup.median > 0);
    if (macs !== undefined) t.ok(Math.abs((trained.dropping?.macs ?? 0) - macs) < 0.2, 'counted on other sequences');
    else t.equal(lambda, 0.2);
    await using smaller = await loadModel(directory);
    t.strictSame(smaller.checkpoint.spec.tokenPruning, trained.tokenPruning);
    const { metrics, dropping } = await evaluate(smaller, { ...data, examples: data.eval });
    t.strictSame({ metrics, dropping }, { metrics: trained.trained, dropping: trained.dropping });
  }
  t.match(readFileSync(join(output, 'report.html'), 'utf8'), 'sst2: 3 checkpoints that drop tokens');
});

t.test('a training that is stopped goes on where it was, and to the same end', async (t) => {
  const output = join(directory, 'stopped');
  await using model = await loadModel(sentimentMini);
  const stop = new AbortController();
  const stages: string[] = [];
  const run = (more: Partial<TokensSweepOptions>) => tokensSweep(model, { ...options, macs: [0.6], output, ...more });
  const onProgress = ({ stage }: { stage: string }) => {
    stages.push(stage);
    if (stage === 'learned-0.6: hard 1/1') stop.abort();
  };
  await t.rejects(run({ onProgress, signal: stop.signal }), { code: 'ERR_CANCELLED' });
  t.ok(stages.includes('learned-0.6: soft 1/1'));
  t.strictSame(readdirSync(output).sort(), ['learned-0.6.state', 'report.html', 'tokens.json']);
  t.strictSame(reportOf(output).runs, []);

  stages.length = 0;
  const { runs } = await run({ onProgress });
  t.notOk(stages.includes('learned-0.6: soft 1/1'), 'thresholds are not learnt again');
  t.strictSame(readdirSync(output).sort(), ['learned-0.6', 'report.html', 'tokens.json']);
  await using direct = await trainTokens(model, { ...options, macs: 0.6 });
  const outcome = ({ tokenPruning, epochs }: typeof direct.report) => [tokenPruning, epochs.map(({ loss }) => loss)];
  t.strictSame(outcome((runs[0] as (typeof runs)[0]).report), outcome(direct.report));
});

t.test('what is there is gone on with, unless the settings differ', async (t) => {
  const output = join(directory, 'again');
  await using model = await loadModel(sentimentMini);
  const run = (more: Partial<TokensSweepOptions>) =>
    tokensSweep(model, { ...options, methods: ['manual'], macs: [0.6], output, ...more });
  const [first] = (await run({})).runs;
  const written = writtenAt(output, 'manual-0.6');
  const { runs } = await run({ methods: ['length-drop'], macs: [0.8] });
  t.strictSame(
    runs.map(({ name }) => name),
    ['length-drop-0.8', 'manual-0.6'],
  );
  t.strictSame(runs[1], JSON.parse(JSON.stringify(first)), 'neither trained nor measured again');
  t.equal(writtenAt(output, 'manual-0.6'), written);
  rmSync(join(output, 'manual-0.6'), { recursive: true });
  await run({});
  const [, anew] = reportOf(output).runs;
  t.strictSame(anew?.report.tokenPruning, first?.report.tokenPruning);
  t.ok(anew?.latency);
  t.strictNotSame(anew?.latency, first?.latency, 'a checkpoint that was gone is measured anew');
  await t.rejects(run({ hard: { ...epoch, learningRate: 1e-5 } }), {
    code: 'ERR_OUTPUT',
    message: /holds a sweep with other settings/,
  });
  mkdirSync(join(output, 'learned-0.5.state'));
  writeFileSync(join(output, 'precious.txt'), '');
  mkdirSync(join(output, 'learned-lambda-1e+21'));
  t.equal((await run({ seed: 1, force: true })).settings.seed, 1);
  t.strictSame(readdirSync(output).sort(), ['manual-0.6', 'precious.txt', 'report.html', 'tokens.json']);
  t.not(writtenAt(output, 'manual-0.6'), written);
});

t.test('calibrated weights have the dtype that was asked for', async (t) => {
  await using model = await loadModel(sentimentMini);
  const wanted = { methods: ['calibrated'] as const, macs: [0.7], dtype: 'f32' as const };
  const report = await tokensSweep(model, { ...options, ...wanted, output: join(directory, 'calibrated') });
  await using made = await loadModel(report.runs[0]?.directory as string);
  t.equal(made.checkpoint.dtype, 'f32');
});

t.test('what a training warned of is told by its name, and in the page', async (t) => {
  const output = join(directory, 'warned');
  const { status, stderr } = await runCli(args(output, '--lambdas', '0'));
  t.equal(status, 0);
  const warning = 'nearly every token goes on so far (try a larger lambda)';
  t.match(stderr, `espalier: warning: learned-lambda-0: ${warning}`);
  t.match(readFileSync(join(output, 'report.html'), 'utf8'), `<td>${warning}</td>`);
});

t.test('the command, killed and started again', async (t) => {
  const output = join(directory, 'killed');
  const budgets = ['--methods', 'manual', '--macs', '0.8,0.6'];
  const finished = join(output, 'manual-0.8');
  const killed = await runCli(args(output, ...budgets), {
    onStart: (child) => {
      const watch = setInterval(() => existsSync(finished) && child.kill('SIGKILL'), 5);
      child.once('exit', () => clearInterval(watch));
    },
  });
  t.equal(killed.status, 'SIGKILL');
  const written = writtenAt(output, 'manual-0.8');
  const { status, stdout, stderr } = await runCli(args(output, ...budgets, '--json'));
  t.equal(status, 0, stderr);
  t.equal(writtenAt(output, 'manual-0.8'), written, 'the finished checkpoint is not repeated');
  const report: TokensSweepReport = JSON.parse(stdout);
  t.equal(report.command, 'tokens sweep');
  t.strictSame(namesOf(report), ['manual-0.8', 'manual-0.6']);
  t.strictSame(report, reportOf(output));
  const shown = await runCli(args(output, ...budgets));
  t.match(shown.stdout, /^checkpoint +MACs +speed-up +accuracy +seconds\ndense .*\nmanual-0.8 .* %.*x \(/);
});

t.test('directories that are not of a sweep, and bad options, are refused', async (t) => {
  const output = join(directory, 'other');
  await using model = await loadModel(sentimentMini);
  const run = (more: Partial<TokensSweepOptions>) => tokensSweep(model, { ...options, macs: [0.6], output, ...more });
  await t.rejects(run({ macs: [] }), { code: 'ERR_OPTION', message: /the method learned needs to know/ });
  await t.rejects(run({ macs: [0.5, 1.5] }), { code: 'ERR_OPTION', message: /macs must be above 0 and at most 1/ });
  await t.rejects(run({ lambdas: [-1] }), { code: 'ERR_OPTION', message: /lambda must be at least 0/ });
  await t.rejects(run({ methods: ['manual'], lambdas: [0.1] }), { code: 'ERR_OPTION', message: /only the method lea/ });
  await t.rejects(run({ methods: ['learned', 'manual'], macs: [], lambdas: [0.1] }), {
    code: 'ERR_OPTION',
    message: /the method manual needs to know/,
  });
  await t.rejects(run({ methods: ['calibrated'], newHead: true }), { code: 'ERR_OPTION', message: /leave calibrated/ });
  await t.rejects(run({ eval: undefined }), { code: 'ERR_OPTION', message: /give --eval too/ });
  await t.rejects(run({ eval: 'missing.tsv' }), { code: 'ERR_DATA' });
  await using teacher = await loadModel(writeTinyRegression(join(directory, 'regression')), { beside: model });
  await t.rejects(run({ teacher }), { code: 'ERR_OPTION', message: /give another teacher/ });
  await t.rejects(run({ signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' });
  t.notOk(existsSync(output));
  mkdirSync(output);
  writeFileSync(join(output, 'sweep.json'), '{}');
  await t.rejects(run({ force: true }), { code: 'ERR_OUTPUT', message: /is no directory of a sweep/ });
  writeFileSync(join(output, 'tokens.json'), '{"command": "sweep"}');
  await t.rejects(run({ force: true }), { code: 'ERR_OUTPUT', message: /that is not of espalier tokens sweep/ });
});
