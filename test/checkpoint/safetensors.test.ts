import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { allFinite } from '../../src/checkpoint/finite.js';
import { SafetensorsFile } from '../../src/checkpoint/safetensors-reader.js';
import { writeSafetensors } from '../../src/checkpoint/safetensors-writer.js';
import type { TensorData } from '../../src/native/addon.js';
import { counting, encodeSafetensors } from './tiny.js';

const directory = t.testdir();

t.test('reads every tensor of a file byte for byte', async (t) => {
  const path = join(directory, 'mixed.safetensors');
  const tensors = {
    half: counting('F16', 3, 5),
    single: counting('F32', 7),
    brain: counting('BF16', 2, 2, 2),
    scalar: counting('F32'),
    empty: counting('F16', 0, 8),
    positions: counting('I64', 1, 4),
  };
  writeFileSync(path, encodeSafetensors(tensors));
  const file = await SafetensorsFile.open(path);
  t.teardown(() => file.close());
  t.equal(file.bytes, readFileSync(path).length);
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    t.match(file.tensors.get(name), { dtype, shape });
    t.same(Buffer.from(await file.read(name, () => undefined)), data, name);
  }
});

t.test('shows a large tensor in aligned pieces that add up to it', async (t) => {
  const path = join(directory, 'large.safetensors');
  const tensor = counting('F32', 5_000_000);
  writeFileSync(path, encodeSafetensors({ small: counting('F16', 1), tensor }));
  const file = await SafetensorsFile.open(path);
  t.teardown(() => file.close());
  const pieces: Uint8Array[] = [];
  const data = await file.read('tensor', (piece) => pieces.push(piece));
  t.ok(pieces.length > 1);
  t.ok(pieces.every(({ byteOffset }) => byteOffset % 8 === 0));
  t.ok(tensor.data.equals(Buffer.concat(pieces)));
  t.ok(tensor.data.equals(data));
});

t.test('reads tensors that lie beyond 4 GiB', async (t) => {
  const path = join(directory, 'sparse.safetensors');
  const fillerBytes = 4_500_000_000;
  const last = counting('F32', 6);
  const header = JSON.stringify({
    filler: { dtype: 'U8', shape: [fillerBytes], data_offsets: [0, fillerBytes] },
    last: { dtype: 'F32', shape: [6], data_offsets: [fillerBytes, fillerBytes + last.data.length] },
  });
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(path, Buffer.concat([prefix, Buffer.from(header)]));
  truncateSync(path, 8 + header.length + fillerBytes);
  const handle = await open(path, 'r+');
  await handle.write(last.data, 0, last.data.length, 8 + header.length + fillerBytes);
  await handle.close();

  const file = await SafetensorsFile.open(path);
  t.teardown(() => file.close());
  t.same(Buffer.from(await file.read('last', () => undefined)), last.data);
});

t.test('a file that shrinks while it is read is reported', async (t) => {
  const path = join(directory, 'shrinking.safetensors');
  writeFileSync(path, encodeSafetensors({ a: counting('F32', 100) }));
  const file = await SafetensorsFile.open(path);
  t.teardown(() => file.close());
  truncateSync(path, 200);
  await t.rejects(
    file.read('a', () => undefined),
    { code: 'ERR_CHECKPOINT', message: /became shorter/ },
  );
});

t.test('writes an aligned, sorted file that reads back the same', async (t) => {
  const path = join(directory, 'written.safetensors');
  const tensors = new Map<string, TensorData>([
    ['z', { dtype: 'f16', shape: [3], data: counting('F16', 3).data }],
    ['b', { dtype: 'f32', shape: [2, 1], data: counting('F32', 2, 1).data }],
    ['a', { dtype: 'bf16', shape: [5], data: counting('BF16', 5).data }],
    ['emptied', { dtype: 'f16', shape: [0, 4], data: new Uint8Array(0) }],
  ]);
  await writeSafetensors(path, tensors);
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE());
  t.equal(length % 8, 0, 'the data section is aligned');
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  t.same(Object.keys(header), ['__metadata__', 'b', 'a', 'emptied', 'z'], 'wide elements first, then by name');
  t.same(header.__metadata__, { format: 'pt' });

  const file = await SafetensorsFile.open(path);
  t.teardown(() => file.close());
  for (const [name, { shape, data }] of tensors) {
    t.same(file.tensors.get(name)?.shape, shape);
    t.same(Buffer.from(await file.read(name, () => undefined)), Buffer.from(data), name);
  }
});

t.test('never writes over a file', async (t) => {
  const path = join(directory, 'there');
  mkdirSync(path);
  await t.rejects(writeSafetensors(path, new Map()), { code: 'EEXIST' });
});

t.test('finds NaN and infinity in every dtype and position', async (t) => {
  const cases = [
    {
      dtype: 'f32',
      write: (b: Buffer, n: number) => b.writeUInt32LE(n, 8),
      bad: [0x7f800000, 0xff800000, 0x7fc00001],
      good: [0x7f7fffff, 0x80000000, 1],
    },
    {
      dtype: 'f16',
      write: (b: Buffer, n: number) => b.writeUInt16LE(n, 10),
      bad: [0x7c00, 0xfc00, 0x7e01],
      good: [0x7bff, 0x8000, 1],
    },
    {
      dtype: 'bf16',
      write: (b: Buffer, n: number) => b.writeUInt16LE(n, 0),
      bad: [0x7f80, 0xff80, 0x7fc1],
      good: [0x7f7f, 0x8000, 1],
    },
  ] as const;
  for (const { dtype, write, bad, good } of cases) {
    for (const number of [...bad, ...good]) {
      const bytes = Buffer.from(new ArrayBuffer(12));
      write(bytes, number);
      const shifted = new Uint8Array(13).subarray(1);
      shifted.set(bytes);
      t.equal(allFinite(dtype, shifted), allFinite(dtype, bytes), 'wherever the bytes lie');
      t.equal(allFinite(dtype, bytes), (good as readonly number[]).includes(number), `${dtype} ${number.toString(16)}`);
    }
  }
});
