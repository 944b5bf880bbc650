import { execFileSync, spawnSync } from 'node:child_process';
import { createWriteStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runCli } from '../support/cli.js';
import { demoData, repoRoot, sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';

const directory = temporaryDirectory();
const prune = ['prune', sentimentMini, '--task', 'sst2', '--train', demoData('train'), '--eval', demoData('eval')];

for (const [signal, exitCode] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const]) {
  t.test(`${signal} while pruning: exit code ${exitCode}, one line, nothing left behind`, async (t) => {
    const args = [...prune, '--keep', '0.5', '--samples', '20000', '--output', join(directory, 'out'), '--json'];
    const { status, stdout, stderr } = await runCli(args, {
      // The dense model is evaluated before the long part, the gradients, begins.
      onStart: (child) => child.stderr?.once('data', () => child.kill(signal)),
    });
    t.equal(status, exitCode);
    t.equal(stderr.split('\n').at(-2), `espalier: stopped by ${signal} (nothing half-written is left)`);
    t.strictSame(JSON.parse(stdout).error.code, 'ERR_CANCELLED');
    t.strictSame(readdirSync(directory), []);
  });
}

t.test('a signal that comes twice is one signal: the message, the exit code, nothing left behind', async (t) => {
  const args = [...prune, '--keep', '0.5', '--samples', '20000', '--output', join(directory, 'twice')];
  const { status, stderr } = await runCli(args, {
    onStart: (child) =>
      child.stderr?.once('data', () => {
        child.kill('SIGINT');
        setTimeout(() => child.kill('SIGINT'), 5);
      }),
  });
  t.equal(status, 130);
  t.match(stderr, 'espalier: stopped by SIGINT (nothing half-written is left)');
  t.strictSame(readdirSync(directory), []);
});

t.test('SIGTERM ends a command that waits for a pipe with a name, with its message', async (t) => {
  const pipe = join(temporaryDirectory(), 'texts.tsv');
  execFileSync('mkfifo', [pipe]);
  const { status, stderr } = await runCli(['predict', sentimentMini, '--input', pipe], {
    // Opened once the other end is, for a text that never comes.
    onStart: (child) => createWriteStream(pipe).once('open', () => child.kill('SIGTERM')),
  });
  t.equal(status, 'SIGTERM', 'a shell says 143');
  t.match(stderr, 'espalier: stopped by SIGTERM (nothing half-written is left)');
});

t.test('standard output that cannot be written is one line and exit code 1', (t) => {
  const main = join(repoRoot, 'dist/src/cli/main.js');
  const command = 'exec "$0" "$1" inspect "$2" > /dev/full';
  const { status, stderr } = spawnSync('bash', ['-c', command, process.execPath, main, sentimentMini], {
    encoding: 'utf8',
  });
  t.equal(status, 1);
  t.match(stderr, /^espalier: cannot write to standard output: ENOSPC[^\n]*\n$/);
  t.end();
});

t.test('SIGINT ends predict while it waits for input', async (t) => {
  const { status } = await runCli(['predict', sentimentMini], {
    input: null,
    onStart: (child) => {
      child.stdin?.write('A text\n');
      child.stdout?.once('data', () => child.kill('SIGINT'));
    },
  });
  t.equal(status, 130);
});
