import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runCli } from '../support/cli.js';
import { demoData, sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';

const directory = temporaryDirectory();
const path = (name: string) => join(directory, name);
const few = ['--task', 'sst2', '--train', demoData('train'), '--samples', '16', '--keep', '0.6', '--threads', '1'];

t.test('whoever stops reading the progress does not stop the work', async (t) => {
  const { status, stdout } = await runCli(['prune', sentimentMini, ...few, '--output', path('deaf'), '--json'], {
    onStart: (child) => child.stderr?.destroy(),
  });
  t.equal(status, 0);
  t.equal(JSON.parse(stdout).command, 'prune');
  t.ok(existsSync(path('deaf/model.safetensors')));
});

t.test('a failure that nobody reads is a failure still', async (t) => {
  const { status } = await runCli(['inspect', path('nothing'), '--json'], {
    onStart: (child) => child.stdout?.destroy(),
  });
  t.equal(status, 1);
});

t.test('predictions are written to their file, though nobody reads the answers', async (t) => {
  const texts = path('texts.txt');
  writeFileSync(texts, 'A fine film.\nAn awful one.\n'.repeat(2000));
  const args = ['predict', sentimentMini, '--task', 'sst2', '--input', texts, '--predictions', path('SST-2.tsv')];
  const { status } = await runCli(args, { onStart: (child) => child.stdout?.destroy() });
  t.equal(status, 0);
  t.equal(readFileSync(path('SST-2.tsv'), 'utf8').trim().split('\n').length, 4001);
});

t.test('--force never costs anyone what a command reads', async (t) => {
  const model = path('model');
  cpSync(sentimentMini, model, { recursive: true });
  const weights = join(model, 'model.safetensors');
  const data = path('data.tsv');
  writeFileSync(data, 'sentence\tlabel\nA fine film.\t1\n');
  const before = [weights, data].map((file) => readFileSync(file));
  for (const args of [
    ['export', model, '--onnx', weights],
    ['prune', model, ...few, '--output', path('pruned'), '--report', weights],
    ['profile', model, '--task', 'sst2', '--texts', data, '--output', data],
    ['evaluate', model, '--task', 'sst2', '--eval', data, '--predictions', data],
    ['predict', model, '--task', 'sst2', '--input', data, '--predictions', data],
    ['bench', model, '--task', 'sst2', '--texts', data, '--report', data],
  ]) {
    const { status, stderr } = await runCli([...args, '--force']);
    t.match({ status, stderr }, { status: 2, stderr: 'is what the output is made of (give another file)' }, args[0]);
  }
  t.same(
    [weights, data].map((file) => readFileSync(file)),
    before,
  );
  const { status } = await runCli(['export', model, '--onnx', join(model, 'model.onnx')]);
  t.equal(status, 0, 'what is not read may lie beside it');
});
