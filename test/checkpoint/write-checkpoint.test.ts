import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { type Checkpoint, readCheckpoint, writeCheckpoint } from '../../src/checkpoint/checkpoint.js';
import type { TensorData } from '../../src/native/addon.js';
import { hasShared, sharedPath } from '../support/paths.js';
import { encodeSafetensors, tinyTensors, writeTiny } from './tiny.js';

const root = t.testdir();
let count = 0;
const fresh = () => join(root, `case-${count++}`, 'model');
const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
const tiny = () => readCheckpoint(writeTiny(fresh()));

/** The checkpoint with only its first head and `neurons` neurons in layer 0, and no attention in layer 1. */
function prune(source: Checkpoint, neurons: number): Checkpoint {
  const { headSize, hiddenSize } = source.spec;
  const layers = [
    { heads: 1, neurons },
    { heads: 0, neurons: 12 },
  ];
  const cut = (shape: number[]): TensorData => {
    const count = shape.reduce((product, extent) => product * extent, 1);
    return { dtype: 'f16', shape, data: new Uint8Array(2 * count).fill(1) };
  };
  const weights = new Map(source.weights);
  for (const [n, { heads, neurons }] of layers.entries()) {
    for (const part of ['query', 'key', 'value']) {
      weights.set(`layers.${n}.attention.${part}.weight`, cut([heads * headSize, hiddenSize]));
      weights.set(`layers.${n}.attention.${part}.bias`, cut([heads * headSize]));
    }
    weights.set(`layers.${n}.attention.output.weight`, cut([hiddenSize, heads * headSize]));
    weights.set(`layers.${n}.ffn.in.weight`, cut([neurons, hiddenSize]));
    weights.set(`layers.${n}.ffn.in.bias`, cut([neurons]));
    weights.set(`layers.${n}.ffn.out.weight`, cut([hiddenSize, neurons]));
  }
  return { ...source, spec: { ...source.spec, layers }, weights };
}

t.test('what was read and written reads back the same', async (t) => {
  const source = await tiny();
  const output = fresh();
  await writeCheckpoint(source, output, { files: { 'pruning.json': '{"command": "prune"}\n' } });
  const { directory, config, bytes, ...read } = await readCheckpoint(output);
  t.match(source, read);
  t.same(config, source.config, 'where nothing is pruned, nothing of espalier is added');
  t.notOk(readdirSync(output).some((name) => name.endsWith('.py')));
  t.equal(directory, output);
  t.equal(bytes, statSync(join(output, 'model.safetensors')).size);
  t.same(readdirSync(dirname(output)), ['model'], 'no temporary directory stays');
  t.equal(readFileSync(join(output, 'pruning.json'), 'utf8'), '{"command": "prune"}\n');
  for (const name of ['vocab.txt', 'tokenizer_config.json']) {
    t.same(readFileSync(join(output, name)), readFileSync(join(source.directory, name)), `${name} is unchanged`);
  }
});

t.test('a pruned model reads back and is written again', async (t) => {
  const pruned = prune(await tiny(), 7);
  const [once, twice] = [fresh(), fresh()];
  await writeCheckpoint(pruned, once);
  const reread = await readCheckpoint(once);
  t.same(reread.spec, pruned.spec);
  t.same(reread.weights.get('layers.1.attention.output.weight'), {
    dtype: 'f16',
    shape: [8, 0],
    data: new Uint8Array(0),
  });
  await writeCheckpoint(prune(reread, 3), twice);
  t.same((await readCheckpoint(twice)).spec.layers[0], { heads: 1, neurons: 3 });
});

t.test('a pruned checkpoint names and brings the Python that transformers loads it with', async (t) => {
  const foreign = { auto_map: { AutoConfig: 'configuration_mine.MyConfig' } };
  for (const [architecture, autoClass] of [
    ['BertForSequenceClassification', 'AutoModelForSequenceClassification'],
    ['BertForQuestionAnswering', 'AutoModelForQuestionAnswering'],
  ] as const) {
    const tensors = tinyTensors();
    if (architecture === 'BertForQuestionAnswering') {
      for (const part of ['weight', 'bias']) {
        tensors[`qa_outputs.${part}`] = tensors[`classifier.${part}`] as (typeof tensors)[string];
        delete tensors[`classifier.${part}`];
      }
    }
    const config = { ...foreign, architectures: [architecture] };
    const source = await readCheckpoint(writeTiny(fresh(), { config, weights: encodeSafetensors(tensors) }));
    const output = fresh();
    await writeCheckpoint(prune(source, 7), output);
    const { auto_map, architectures } = readJson(join(output, 'config.json'));
    t.same(architectures, [architecture], 'still the stock class');
    t.same(auto_map, { [autoClass]: `modeling_espalier.${architecture}` }, 'and not code that was not copied');
    const python = readFileSync(join(output, 'modeling_espalier.py'), 'utf8');
    t.match(python, `class ${architecture}(Pruned, transformers.${architecture}):`);
  }
});

t.test('the dtype fields of config.json follow the weights', async (t) => {
  const source = await readCheckpoint(writeTiny(fresh(), { config: { dtype: 'float16' } }));
  const wide = await readCheckpoint(
    writeTiny(fresh(), { config: { dtype: 'float16' }, weights: encodeSafetensors(tinyTensors({ dtype: 'F32' })) }),
  );
  for (const [checkpoint, dtype] of [
    [source, 'float16'],
    [wide, 'float32'],
  ] as const) {
    const output = fresh();
    await writeCheckpoint(checkpoint, output);
    t.match(readJson(join(output, 'config.json')), { dtype, torch_dtype: dtype });
  }
});

t.test('what espalier has in config.json besides the widths is kept', async (t) => {
  const espalier = { format: 1, heads_per_layer: [2, 2], neurons_per_layer: [12, 12], task: 'mrpc' };
  const output = fresh();
  await writeCheckpoint(await readCheckpoint(writeTiny(fresh(), { config: { espalier } })), output);
  t.same(readJson(join(output, 'config.json')).espalier, espalier);
});

t.test('an existing output is refused and untouched', async (t) => {
  const source = await tiny();
  const output = fresh();
  mkdirSync(output, { recursive: true });
  await t.rejects(writeCheckpoint(source, output), { code: 'ERR_OUTPUT', message: /exists .*--force/ });
  t.same(readdirSync(output), []);
});

t.test('with force an existing checkpoint is replaced whole', async (t) => {
  const source = await tiny();
  const output = writeTiny(fresh());
  writeFileSync(join(output, 'stale.txt'), '');
  await writeCheckpoint(prune(source, 5), output, { force: true });
  t.equal((await readCheckpoint(output)).spec.layers[0]?.neurons, 5);
  t.notOk(existsSync(join(output, 'stale.txt')));
  t.same(readdirSync(dirname(output)), ['model']);
});

t.test('with force a checkpoint can replace the one it came from, behind a link too', async (t) => {
  const source = await tiny();
  const link = `${source.directory}-link`;
  symlinkSync(source.directory, link);
  await writeCheckpoint(prune(source, 5), link, { force: true });
  t.equal((await readCheckpoint(source.directory)).spec.layers[0]?.neurons, 5);
  t.ok(existsSync(join(source.directory, 'vocab.txt')));
});

t.test('force does not replace what is no checkpoint', async (t) => {
  const source = await tiny();
  const output = fresh();
  mkdirSync(output, { recursive: true });
  writeFileSync(join(output, 'thesis.tex'), '');
  await t.rejects(writeCheckpoint(source, output, { force: true }), { code: 'ERR_OUTPUT', message: /no checkpoint/ });
  await t.rejects(writeCheckpoint(source, join(output, 'thesis.tex'), { force: true }), { code: 'ERR_OUTPUT' });
  t.same(readdirSync(output), ['thesis.tex']);
});

t.test('an output that cannot be made is one error and leaves nothing', async (t) => {
  const source = await tiny();
  const file = join(root, 'file');
  writeFileSync(file, '');
  await t.rejects(writeCheckpoint(source, join(file, 'model')), { code: 'ERR_OUTPUT', message: /cannot write .*file/ });
  const cause = { code: 'ERR_OUTPUT', message: /cannot write/ };
  const output = fresh();
  await t.rejects(writeCheckpoint({ ...source, directory: join(root, 'lost') }, join('/proc', 'model')), cause);
  mkdirSync(join(root, 'odd', 'vocab.txt'), { recursive: true });
  await t.rejects(writeCheckpoint({ ...source, directory: join(root, 'odd') }, output), cause, 'fails half-way');
  t.notOk(existsSync(dirname(output)), 'the parents it made are gone');
});

t.test('weights that do not fit the spec are never written', async (t) => {
  const source = await tiny();
  const output = fresh();
  const code = 'ERR_INVALID_ARGUMENT';
  const without = new Map(source.weights);
  without.delete('pooler.bias');
  await t.rejects(writeCheckpoint({ ...source, weights: without }, output), { code, message: /pooler\.bias/ });
  const short = new Map(source.weights).set('pooler.bias', { dtype: 'f16', shape: [8], data: new Uint8Array(15) });
  await t.rejects(writeCheckpoint({ ...source, weights: short }, output), { code, message: /in 15 bytes/ });
  const spec = { ...source.spec, labels: 3 };
  await t.rejects(writeCheckpoint({ ...source, spec }, output), { code, message: /classifier\.weight is \[2,8\]/ });
  await t.rejects(writeCheckpoint(source, output, { files: { '../pruning.json': '' } }), { code });
  t.notOk(existsSync(output));
});

t.test('weights that overflow their dtype are never written', async (t) => {
  const source = await tiny();
  const output = fresh();
  const data = Uint8Array.of(0, 0, 0, 0x7c); // The second number is infinite.
  const weights = new Map(source.weights).set('classifier.bias', { dtype: 'f16', shape: [2], data });
  const error = { code: 'ERR_NON_FINITE', message: /"classifier.bias" does not fit f16/ };
  await t.rejects(writeCheckpoint({ ...source, weights }, output), error);
  t.notOk(existsSync(dirname(output)));
});

t.test('an abort between two tensors leaves the old checkpoint and nothing else', async (t) => {
  const source = await tiny();
  const output = writeTiny(fresh());
  const before = readFileSync(join(output, 'model.safetensors'));
  const controller = new AbortController();
  let readsAfterAbort = 0;
  const begun = () =>
    readdirSync(dirname(output))
      .map((name) => join(dirname(output), name, 'model.safetensors'))
      .some((path) => path !== join(output, 'model.safetensors') && existsSync(path) && statSync(path).size > 0);
  const weights = new Map(
    [...source.weights].map(([role, tensor]) => [
      role,
      {
        ...tensor,
        get data() {
          if (controller.signal.aborted) readsAfterAbort++;
          else if (begun()) controller.abort();
          return tensor.data;
        },
      },
    ]),
  );
  const { signal } = controller;
  await t.rejects(writeCheckpoint({ ...source, weights }, output, { force: true, signal }), { code: 'ERR_CANCELLED' });
  t.ok(signal.aborted);
  t.ok(readsAfterAbort < 2, 'the other tensors are not touched any more');
  t.ok(before.equals(readFileSync(join(output, 'model.safetensors'))));
  t.same(readdirSync(dirname(output)), ['model']);
});

const modulePath = new URL('../../src/checkpoint/checkpoint.js', import.meta.url).href;
const script = (source: string, output: string, body: string) => `
  import { readCheckpoint, writeCheckpoint } from ${JSON.stringify(modulePath)};
  const source = await readCheckpoint(${JSON.stringify(source)});
  const write = () => writeCheckpoint(source, ${JSON.stringify(output)}, { force: true });
  ${body}`;

t.test('a full disk is one error and leaves the old checkpoint', async (t) => {
  const output = writeTiny(fresh());
  const before = readFileSync(join(output, 'config.json'));
  const code = script(
    writeTiny(fresh()),
    output,
    'await write().catch(({ code, message }) => console.log(code, message));',
  );
  // A limit on the size of files makes writing fail half-way, as a full disk does; the test runner's own hooks write too.
  const command = 'unset NODE_OPTIONS; ulimit -f 4; exec "$0" --input-type=module -e "$1"';
  const { stdout } = spawnSync('bash', ['-c', command, process.execPath, code], { encoding: 'utf8' });
  t.match(stdout, /^ERR_OUTPUT cannot write .*EFBIG/);
  t.ok(before.equals(readFileSync(join(output, 'config.json'))));
  t.same(readdirSync(dirname(output)), ['model']);
});

t.test('a process killed at any moment leaves a whole checkpoint', async (t) => {
  const source = writeTiny(fresh());
  const output = writeTiny(fresh());
  const code = script(source, output, 'process.stdout.write("ready"); for (;;) await write();');
  for (let round = 0; round < 4; round++) {
    const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', code]);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    await sleep(20 + 13 * round);
    child.kill('SIGKILL');
    await ended;
    // Between two renames the old one bears its temporary name, still whole.
    const names = readdirSync(dirname(output));
    const whole = existsSync(output) ? ['model'] : names;
    t.ok(await Promise.any(whole.map((name) => readCheckpoint(join(dirname(output), name)))), `round ${round}`);
  }
});

t.test(
  'a real checkpoint is written bit for bit',
  { skip: !hasShared && 'the shared models are absent' },
  async (t) => {
    const source = await readCheckpoint(sharedPath('models', 'sentiment-mini'));
    const output = fresh();
    await writeCheckpoint(source, output);
    for (const name of ['model.safetensors', 'tokenizer.json', 'vocab.txt', 'special_tokens_map.json']) {
      t.ok(readFileSync(join(output, name)).equals(readFileSync(join(source.directory, name))), name);
    }
  },
);
