import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { elementBytes } from '../../src/checkpoint/dtypes.js';
import { readTorchEntries, type TorchEntry } from '../../src/checkpoint/torch-reader.js';
import { readStateDict } from '../../src/checkpoint/torch-state.js';
import { Random } from '../../src/data/random.js';
import { EspalierError } from '../../src/native/errors.js';
import { repoRoot } from '../support/paths.js';
import { counting } from './tiny.js';
import { encodeZip, torchFiles } from './tiny-torch.js';

const genuine = readFileSync(join(repoRoot, 'test/golden/torch/dtypes.bin'));
const [built, wide] = [false, true].map((wide) =>
  encodeZip(torchFiles({ weight: counting('F32', 2, 3), bias: counting('F16', 2) }), { wide }),
) as [Buffer, Buffer];
const files = [genuine, built, wide];

/** Operations, names and numbers that a careless reader trips over. */
const hostile = [
  ...['PK\x01\x02', 'PK\x03\x04', 'PK\x05\x06', 'PK\x06\x06', 'PK\x06\x07', '\xff\xff\xff\xff', '\x00\x00\x00\x80'],
  ...[
    '(',
    ')',
    't',
    '}',
    ']',
    'u',
    'e',
    's',
    'a',
    'R',
    'b',
    'Q',
    'q\x00',
    'h\x00',
    '\x85',
    '\x86',
    '\x94',
    '\x93',
    '.',
  ],
  ...['cos\nsystem\n', 'ctorch\nFloatStorage\n', 'ccollections\nOrderedDict\n', 'J\xff\xff\xff\xff', '\x8a\x08', 'N'],
  ...[
    'X\x09\x00\x00\x00__proto__',
    'B\xff\xff\xff\xff',
    'i',
    'o',
    '\x81',
    '\x82\x01',
    'P',
    '\x8d\xff\xff\xff\xff\xff\xff\xff',
  ],
].map((text) => Buffer.from(text, 'latin1'));

/** Overwrites, inserts, removes or repeats a few bytes, mostly where `from` and after. */
function mutate(bytes: Buffer, from: number, random: Random): Buffer {
  const at = random.below(4) === 0 ? random.below(bytes.length) : from + random.below(bytes.length - from);
  const end = Math.min(bytes.length, at + random.below(12));
  const [head, cut, tail] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)];
  const piece = hostile[random.below(hostile.length)] as Buffer;
  switch (random.below(6)) {
    case 0:
      return Buffer.concat([head, tail]);
    case 1:
      return Buffer.concat([head, cut, cut, tail]);
    case 2:
      return Buffer.concat([head, piece, tail]);
    case 3:
      return Buffer.concat([head, piece, bytes.subarray(Math.min(bytes.length, at + piece.length))]);
    case 4: {
      const other = random.below(bytes.length);
      return Buffer.concat([head, bytes.subarray(other, other + cut.length), tail]);
    }
    default:
      return Buffer.concat([head, Buffer.of(random.below(256)), bytes.subarray(at + 1)]);
  }
}

const inMemory = (bytes: Buffer) => ({
  path: 'fuzz',
  bytes: bytes.length,
  read: async (position: number, length: number) => {
    if (position < 0 || position + length > bytes.length) throw new Error(`read ${length} bytes at ${position}`);
    return bytes.subarray(position, position + length);
  },
});

function isInside({ dtype, shape, strides, start }: TorchEntry, bytes: number): boolean {
  const count = shape.reduce((product, extent) => product * extent, 1);
  const last = shape.reduce((sum, extent, d) => sum + (extent - 1) * (strides[d] as number), 0);
  return (
    count === 0 ||
    (start >= 0 && count * elementBytes[dtype] <= bytes && start + (last + 1) * elementBytes[dtype] <= bytes)
  );
}

t.test('a spoilt torch file is refused with one kind of error, or its tensors lie inside of it', async (t) => {
  const random = new Random(5);
  const counts = { read: 0, refused: 0 };
  for (let round = 0; round < 10_000; round++) {
    let file = files[random.below(files.length)] as Buffer;
    // The directory and the headers are at the end and at the beginning, the weights between them.
    const from = random.below(2) ? 0 : file.lastIndexOf('PK\x01\x02') - 200;
    for (let times = random.below(3); times >= 0; times--) file = mutate(file, from, random);
    try {
      for (const entry of (await readTorchEntries(inMemory(file))).values()) {
        if (!isInside(entry, file.length)) t.fail(`round ${round}: not within the file`);
      }
      counts.read++;
    } catch (error) {
      if (!(error instanceof EspalierError) || error.code !== 'ERR_CHECKPOINT') t.fail(`round ${round}: ${error}`);
      counts.refused++;
    }
  }
  t.ok(counts.read > 300, `${counts.read} spoilt files were still sound`);
  t.ok(counts.refused > 1000, `${counts.refused} were refused`);
});

t.test('a spoilt pickle is refused with a reason, or holds tensors and nothing else', (t) => {
  const pickles = [genuine, built].map((file) => {
    const start = file.indexOf('\x80\x02', 0, 'latin1');
    return file.subarray(start, file.indexOf('PK', start));
  });
  const random = new Random(6);
  const counts = { read: 0, refused: 0 };
  for (let round = 0; round < 20_000; round++) {
    let pickle = pickles[random.below(2)] as Buffer;
    for (let times = random.below(3); times >= 0; times--) pickle = mutate(pickle, 0, random);
    try {
      for (const [name, { storage, offset, shape, strides }] of readStateDict(pickle)) {
        const numbers = [storage.elements, offset, ...shape, ...strides];
        if (typeof name !== 'string' || typeof storage.key !== 'string') t.fail(`round ${round}: no name`);
        if (!numbers.every((number) => Number.isSafeInteger(number) && number >= 0)) t.fail(`round ${round}: no sizes`);
      }
      counts.read++;
    } catch (error) {
      // Our own errors are plain; a TypeError or RangeError would be a mistake of the reader.
      if (Object.getPrototypeOf(error) !== Error.prototype) t.fail(`round ${round}: ${error}`);
      counts.refused++;
    }
  }
  t.ok(counts.read > 300, `${counts.read} spoilt pickles were still sound`);
  t.ok(counts.refused > 1000, `${counts.refused} were refused`);
  t.end();
});
