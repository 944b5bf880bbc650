import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { runCli } from '../support/cli.js';
import { demoData, sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';

const directory = temporaryDirectory();
const path = (name: string) => join(directory, name);
const run = async (args: string[]) => {
  const { status, stdout, stderr } = await runCli(args);
  t.equal(status, 0, stderr);
  return stdout;
};
const json = async (args: string[]) => JSON.parse(await run([...args, '--json']));

t.test('a pruned checkpoint, its dense copy and both exports of it', async (t) => {
  const data = ['--task', 'sst2', '--train', demoData('train'), '--samples', '64', '--keep', '0.5'];
  const prune = ['prune', sentimentMini, ...data, '--output', path('pruned'), '--dense-copy', path('copy')];
  const report = await json([...prune, '--quiet']);
  t.equal(report.denseCopy, path('copy'));
  for (const written of ['pruned', 'copy']) {
    const { dtype, config } = await readCheckpoint(path(written));
    t.strictSame([dtype, config.dtype], ['f16', 'float16'], "in the source's dtype, and config.json says so");
  }

  const exported = await json(['export', path('pruned'), '--onnx', path('model.onnx'), '--dense', path('dense')]);
  t.strictSame(exported, {
    command: 'export',
    checkpoint: path('pruned'),
    onnx: { path: path('model.onnx'), dtype: 'f16', bytes: statSync(path('model.onnx')).size },
    dense: { path: path('dense'), dtype: 'f16', bytes: exported.dense.bytes },
  });
  const [{ directory: _, ...copy }, { directory: __, ...dense }] = [
    await readCheckpoint(path('copy')),
    await readCheckpoint(path('dense')),
  ];
  t.strictSame(dense, copy, '--dense-copy is what export --dense writes');
  t.strictSame(readdirSync(directory).sort(), ['copy', 'dense', 'model.onnx', 'pruned'], 'and nothing else');
});

t.test('for people: a line a form', async (t) => {
  const text = await run(['export', sentimentMini, '--onnx', path('whole.onnx'), '--dtype', 'f32']);
  t.match(text, /^onnx {2}.*whole\.onnx, \d+\.\d\d MB, f32\n$/);
});

t.test('the help has examples', async (t) => {
  t.match(await run(['export', '--help']), 'espalier export pruned --onnx pruned.onnx');
});
