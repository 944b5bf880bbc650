import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runCli } from '../support/cli.js';
import { demoData, sentimentMini } from '../support/paths.js';
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

t.test('SIGINT ends predict while it waits for input', async (t) => {
  const { status } = await runCli(['predict', sentimentMini], {
    input: null,
    onStart: (child) => setTimeout(() => child.kill('SIGINT'), 1500),
  });
  t.equal(status, 130);
});
