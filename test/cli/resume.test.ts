import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { TrainReport } from '../../src/index.js';
import { demoFile } from '../data/support/demo.js';
import { type CliOptions, runCli } from '../support/cli.js';
import { sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';

const directory = temporaryDirectory();
const path = (name: string) => join(directory, name);
const data = ['--task', 'sst2', '--train', demoFile(directory, 'train', 32), '--max-length', '24'];

async function finished(args: readonly string[]) {
  const { status, stdout, stderr } = await runCli([...args, '--json']);
  if (status !== 0) throw new Error(stderr);
  return { report: JSON.parse(stdout) as TrainReport, stderr };
}

/** Interrupts a command once it has told of a stage. */
const interruptedIn = (stage: string): CliOptions => ({
  onStart: (child) => child.stderr?.on('data', (text: string) => String(text).includes(stage) && child.kill('SIGINT')),
});
const resumable = {
  train: ['train', sentimentMini, ...data, '--batch', '8', '--epochs', '4'],
  'tokens train': ['tokens', 'train', sentimentMini, ...data, '--batch', '8', '--macs', '0.7', '--hard-epochs', '3'],
};

t.test('SIGINT while training: exit code 130, one line, nothing left behind', async (t) => {
  mkdirSync(path('interrupted'));
  const args = [...resumable.train, '--output', path('interrupted/out'), '--json'];
  const { status, stdout, stderr } = await runCli(args, interruptedIn('train 1/4'));
  t.equal(status, 130);
  t.equal(stderr.split('\n').at(-2), 'espalier: stopped by SIGINT (nothing half-written is left)');
  t.equal(JSON.parse(stdout).error.code, 'ERR_CANCELLED');
  t.strictSame(readdirSync(path('interrupted')), []);
});

const outcomeOf = ({ epochs, tokenPruning, output }: TrainReport) => ({
  losses: epochs.map(({ loss }) => loss),
  tokenPruning,
  weights: createHash('sha256')
    .update(readFileSync(join(output as string, 'model.safetensors')))
    .digest('hex'),
});

for (const [name, stages] of [
  ['train', ['train 2/4']],
  ['tokens train', ['soft 2/3', 'hard 1/3']],
] as const) {
  t.test(`${name} --resume, stopped: the same command goes on to the same end, to the bit`, async (t) => {
    const whole = await finished([...resumable[name], '--output', path(`${name} at once`)]);
    for (const stage of stages) {
      const [state, output] = [`${stage} state`, `${stage} out`].map((part) => path(part.replace('/', ' of ')));
      const args = [...resumable[name], '--resume', state as string, '--output', output as string];
      const stopped = await runCli(args, interruptedIn(stage));
      t.equal(stopped.status, 130, stage);
      t.notOk(existsSync(output as string));
      t.match(readdirSync(state as string).sort(), ['state.json', /^step-\d+\.safetensors$/]);
      const { report, stderr } = await finished(args);
      t.notMatch(stderr, stage, 'what was done is not done again');
      t.strictSame(outcomeOf(report), outcomeOf(whole.report));
    }
  });
}

t.test('a training is not gone on with on data that are read otherwise', async (t) => {
  const args = [...resumable.train, '--epochs', '1', '--resume', path('columns')];
  await finished([...args, '--output', path('columns of the task')]);
  const other = [...args, '--text-column', 'label', '--output', path('other columns'), '--json'];
  const { status, stdout } = await runCli(other);
  t.equal(status, 1);
  t.match(JSON.parse(stdout).error, { code: 'ERR_OUTPUT', message: /holds a training with other settings/ });
});

t.test('what a training warned of it says again when it is gone on with', async (t) => {
  const args = ['tokens', 'train', sentimentMini, ...data, '--batch', '8', '--soft-epochs', '1', '--hard-epochs', '1'];
  const kept = [...args, '--lambda', '0', '--resume', path('warned')];
  const first = await finished([...kept, '--output', path('warned 1')]);
  const second = await finished([...kept, '--output', path('warned 2')]);
  t.match(first.stderr, /warning: nearly every token goes on/);
  t.strictSame(second.report.warnings, first.report.warnings);
});
