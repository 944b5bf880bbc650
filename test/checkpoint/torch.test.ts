import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { readCheckpoint, writeCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { SafetensorsFile } from '../../src/checkpoint/safetensors-reader.js';
import { TorchFile } from '../../src/checkpoint/torch-reader.js';
import { repoRoot } from '../support/paths.js';
import { counting, encodeSafetensors, type TinyTensors, tinyTensors, writeTiny } from './tiny.js';
import { encodeTorch, encodeZip, torchFiles } from './tiny-torch.js';

const golden = (name: string) => join(repoRoot, 'test/golden/torch', name);
const root = t.testdir();
let count = 0;
const fresh = () => join(root, `case-${count++}`);

/** A directory of the golden model with these weight files: name there -> golden file. */
function checkpointOf(files: Record<string, string>): string {
  const directory = fresh();
  mkdirSync(directory);
  for (const [name, source] of Object.entries({ 'config.json': 'config.json', ...files })) {
    copyFileSync(golden(source), join(directory, name));
  }
  return directory;
}

for (const [file, what] of Object.entries({
  'plain.bin': 'a state dict',
  'views.bin': 'transposed and shared storages, Parameters, protocol 4',
  'old-names.bin': 'gamma, beta and no prefix',
  'zip64.bin': 'zip64 entries',
})) {
  t.test(`torch.save of ${what} holds the weights of its safetensors twin`, async (t) => {
    const twin = await readCheckpoint(checkpointOf({ 'model.safetensors': 'model.safetensors' }));
    const read = await readCheckpoint(checkpointOf({ 'pytorch_model.bin': file }));
    t.same(read.weights, twin.weights);
    t.same(read.spec, twin.spec);
    t.equal(read.dtype, 'f32');
  });
}

for (const name of ['gelu', 'bert-span', 'distilbert', 'distilbert-span', 'roberta', 'roberta-span']) {
  t.test(`${name}: names without the prefix, in pytorch_model.bin, are the same checkpoint`, async (t) => {
    const source = join(repoRoot, 'test/golden', name);
    const twin = await readCheckpoint(source);
    const file = await SafetensorsFile.open(join(source, 'model.safetensors'));
    t.teardown(() => file.close());
    const tensors: TinyTensors = {};
    for (const [tensor, { dtype, shape }] of file.tensors) {
      const data = Buffer.from(await file.read(tensor, () => undefined));
      tensors[tensor.replace(/^(bert|distilbert|roberta)\./, '')] = { dtype, shape, data };
    }
    t.notOk(Object.keys(tensors).some((tensor) => file.tensors.has(tensor) && !/^(\w*classifier|qa)/.test(tensor)));
    const directory = fresh();
    mkdirSync(directory);
    copyFileSync(join(source, 'config.json'), join(directory, 'config.json'));
    writeFileSync(join(directory, 'pytorch_model.bin'), encodeTorch(tensors));
    const read = await readCheckpoint(directory);
    t.same(read.weights, twin.weights);
    t.same(read.tensorNames, twin.tensorNames);
  });
}

t.test('every dtype and view reads as PyTorch made it contiguous', async (t) => {
  const [torch, twin] = [
    await TorchFile.open(golden('dtypes.bin')),
    await SafetensorsFile.open(golden('dtypes.safetensors')),
  ];
  t.teardown(() => Promise.all([torch.close(), twin.close()]));
  t.same([...torch.tensors.keys()].sort(), [...twin.tensors.keys()].sort());
  for (const [name, { dtype, shape }] of twin.tensors) {
    t.match(torch.tensors.get(name), { dtype, shape }, name);
    const seen: Uint8Array[] = [];
    const data = await torch.read(name, (piece) => seen.push(piece));
    t.same(data, await twin.read(name, () => undefined), name);
    t.same(Buffer.concat(seen), Buffer.from(data), `${name} in pieces`);
  }
});

t.test('an archive that lies beyond 4 GiB', async (t) => {
  const path = fresh();
  const tensor = counting('F32', 5, 7);
  const handle = await open(path, 'w');
  const archive = encodeZip(torchFiles({ first: counting('F16', 3), tensor }), { start: 5e9 });
  await handle.write(archive, 0, archive.length, 5e9);
  await handle.close();
  const file = await TorchFile.open(path);
  t.teardown(() => file.close());
  t.same(Buffer.from(await file.read('tensor', () => undefined)), tensor.data);
});

t.test('what a hostile pickle asks for does not happen', async (t) => {
  rmSync('/tmp/espalier-was-here', { force: true });
  await t.rejects(TorchFile.open(golden('hostile.bin')), {
    code: 'ERR_CHECKPOINT',
    message: /asks for "posix\.system", which no weights need: it may be hostile/,
  });
  t.notOk(existsSync('/tmp/espalier-was-here'));
});

t.test('a file of PyTorch before 1.6 is refused with the remedy', async (t) => {
  await t.rejects(TorchFile.open(golden('before-1.6.bin')), {
    code: 'ERR_CHECKPOINT',
    message: /format of PyTorch before 1\.6 \(save it again: torch\.save\(/,
  });
});

t.test('safetensors go first, then their shards, then pytorch_model.bin, then its shards', async (t) => {
  const directory = writeTiny(fresh());
  const tensors = Object.entries(tinyTensors());
  const shardsOf = (stem: string, end: string, encode: (tensors: TinyTensors) => Buffer, bias: number) => {
    const all = Object.fromEntries(tensors);
    all['classifier.bias'] = { ...counting('F16', 2), data: Buffer.from([bias, 0, bias, 0]) };
    writeFileSync(join(directory, `${stem}${end}`), encode(all));
    const map: Record<string, string> = {};
    for (const [index, half] of [Object.entries(all).slice(0, 9), Object.entries(all).slice(9)].entries()) {
      const name = `${stem}-0000${index}${end}`;
      writeFileSync(join(directory, name), encode(Object.fromEntries(half)));
      for (const [tensor] of half) map[tensor] = name;
    }
    writeFileSync(join(directory, `${stem}${end}.index.json`), JSON.stringify({ weight_map: map }));
  };
  shardsOf('pytorch_model', '.bin', encodeTorch, 1);
  shardsOf('model', '.safetensors', encodeSafetensors, 2);
  const bias = async () => (await readCheckpoint(directory)).weights.get('classifier.bias')?.data[0];
  t.equal(await bias(), 2);
  rmSync(join(directory, 'model.safetensors'));
  t.equal(await bias(), 2, 'the shards');
  rmSync(join(directory, 'model.safetensors.index.json'));
  t.equal(await bias(), 1, 'pytorch_model.bin');
  rmSync(join(directory, 'pytorch_model.bin'));
  t.equal(await bias(), 1, 'its shards');
  rmSync(join(directory, 'pytorch_model.bin.index.json'));
  await t.rejects(bias(), { code: 'ERR_CHECKPOINT', message: /has no model\.safetensors or pytorch_model\.bin/ });
});

t.test('a checkpoint with old names is written under the names of today', async (t) => {
  const source = await readCheckpoint(checkpointOf({ 'pytorch_model.bin': 'old-names.bin' }));
  const output = fresh();
  await writeCheckpoint(source, output);
  const file = await SafetensorsFile.open(join(output, 'model.safetensors'));
  t.teardown(() => file.close());
  t.ok(file.tensors.has('bert.encoder.layer.1.output.LayerNorm.bias'));
  const twin = await SafetensorsFile.open(golden('model.safetensors'));
  t.teardown(() => twin.close());
  t.same([...file.tensors.keys()].sort(), [...twin.tensors.keys()].sort());
  t.same((await readCheckpoint(output)).weights, source.weights);
});
