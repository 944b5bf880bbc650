import { join } from 'node:path';
import t from 'tap';
import { runCli } from '../support/cli.js';
import { repoRoot, sentimentMini } from '../support/paths.js';

t.test('inspect --json describes the checkpoint', async (t) => {
  const { status, stdout } = await runCli(['inspect', sentimentMini, '--max-length', '10', '--json']);
  t.equal(status, 0);
  const [tokens, hidden, head] = [10, 192, 32];
  const headMacs = 4 * tokens * hidden * head + 2 * tokens ** 2 * head;
  t.strictSame(JSON.parse(stdout), {
    command: 'inspect',
    checkpoint: sentimentMini,
    architecture: 'bert',
    problem: 'classification',
    labels: ['negative', 'positive'],
    hiddenSize: hidden,
    headSize: head,
    vocabularySize: 7000,
    maxPositions: 128,
    layers: Array(4).fill({ heads: 6, neurons: 768 }),
    parameters: 3_186_242,
    dtype: 'f16',
    bytes: 6_380_636,
    macs: { length: tokens, total: 4 * (6 * headMacs + 768 * 2 * tokens * hidden) },
  });
});

t.test('inspect prints a line a layer', async (t) => {
  const { stdout } = await runCli(['inspect', sentimentMini]);
  t.match(stdout, /^architecture +bert, classification\n/);
  t.match(stdout, /\n3 +6 +768\n$/);
});

t.test('inspect names the family, and the ends of a span', async (t) => {
  const { stdout } = await runCli(['inspect', join(repoRoot, 'test/golden/roberta-span')]);
  t.match(stdout, /^architecture +roberta, span\nlabels +start, end\n/);
});

t.test('devices says what can run and why not', async (t) => {
  const { status, stdout } = await runCli(['devices', '--json']);
  t.equal(status, 0);
  const { command, devices } = JSON.parse(stdout);
  t.equal(command, 'devices');
  t.match(devices, [{ name: 'cpu', available: true, detail: /^(portable|avx2|avx512)$/ }]);
  t.match(devices.at(-1), { name: 'cuda', available: false, detail: /./ });
});

t.test('every command has help with examples', async (t) => {
  for (const command of ['prune', 'evaluate', 'predict', 'inspect', 'devices']) {
    const { status, stdout } = await runCli([command, '--help']);
    t.equal(status, 0);
    t.match(stdout, `\nExamples:\n  $ espalier ${command}`);
  }
});

t.test('--version prints the version', async (t) => {
  t.equal((await runCli(['--version'])).stdout, '0.1.0\n');
});
