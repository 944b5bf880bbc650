import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runCli } from '../support/cli.js';
import { demoData, sentimentMini } from '../support/paths.js';

const evaluate = ['evaluate', sentimentMini, '--task', 'sst2', '--eval', demoData('eval')];
/** 427 of the 500 sentences, as PyTorch has it on the same files. */
const accuracy = 0.854;

t.test('evaluate --json prints the fields of the contract, and the accuracy PyTorch has', async (t) => {
  const { status, stdout } = await runCli([...evaluate, '--json', '--threads', '2']);
  t.equal(status, 0);
  const result = JSON.parse(stdout);
  t.strictSame(Object.keys(result), [
    'command',
    'task',
    'metrics',
    'examples',
    'tokens',
    'seconds',
    'tokensPerSecond',
    'device',
    'threads',
    'precision',
  ]);
  t.match(result, { command: 'evaluate', task: 'sst2', examples: 500, device: 'cpu', threads: 2 });
  t.strictSame(result.metrics, { accuracy });
  t.ok(result.seconds > 0);
  t.equal(result.tokensPerSecond, result.tokens / result.seconds);
});

t.test('threads and batches change nothing but the speed', async (t) => {
  const runs = [
    ['--threads', '1', '--batch', '7'],
    ['--threads', '2', '--batch', '500'],
  ];
  const results = await Promise.all(runs.map((options) => runCli([...evaluate, '--json', ...options])));
  const [first, second] = results.map(({ stdout }) => JSON.parse(stdout));
  t.strictSame(first.metrics, { accuracy });
  t.strictSame(second.metrics, { accuracy });
  t.equal(first.tokens, second.tokens);
});

t.test('--limit evaluates the first examples', async (t) => {
  const { stdout } = await runCli([...evaluate, '--json', '--limit', '10']);
  t.equal(JSON.parse(stdout).examples, 10);
});

t.test('without --json a table for people, progress as plain lines on stderr', async (t) => {
  const { stdout, stderr } = await runCli(evaluate);
  t.match(stdout, /^accuracy +0\.8540\nexamples +500\ntokens\/s +[\d,]+\n$/);
  t.match(stderr, /^evaluate: 500\/500, \d+\.\d s\n$/);
});

t.test('--quiet shows no progress', async (t) => {
  t.equal((await runCli([...evaluate, '--quiet', '--limit', '5'])).stderr, '');
});

t.test('standard input, once its format is given', async (t) => {
  const args = ['evaluate', sentimentMini, '--task', 'sst2', '--json', '--quiet', '--limit', '20', '--eval'];
  const file = await runCli([...args, demoData('eval')]);
  const input = readFileSync(demoData('eval'), 'utf8');
  const piped = await runCli([...args, '-', '--format', 'tsv'], { input });
  t.same(JSON.parse(piped.stdout).metrics, JSON.parse(file.stdout).metrics);
  const twice = [sentimentMini, '--task', 'sst2', '--train', '-', '--eval', '-', '--format', 'tsv', '--keep', '0.5'];
  const { status, stderr } = await runCli(['prune', ...twice, '--output', join(t.testdir(), 'pruned')], { input });
  t.equal(status, 1);
  t.match(stderr, /cannot read -: it was read already \(only one file can be -\)/);
});
