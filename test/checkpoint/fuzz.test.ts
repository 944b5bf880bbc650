import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { byteLength } from '../../src/checkpoint/dtypes.js';
import { parseHeader, readHeaderLength, type TensorEntry } from '../../src/checkpoint/safetensors-header.js';
import { Random } from '../../src/data/random.js';
import { EspalierError } from '../../src/native/errors.js';
import { counting, encodeSafetensors, tinyConfig, writeTiny } from './tiny.js';

const sound = encodeSafetensors({
  'bert.pooler.dense.weight': counting('F16', 2, 3),
  'classifier.bias': counting('F32', 2),
  'embeddings.position_ids': counting('I64', 1, 2),
  emptied: counting('BF16', 0, 8),
});

/** Pieces that a careless parser trips over. */
const hostile = [
  '"',
  '\\',
  '\\"',
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  '-1',
  '1e99',
  '0.5',
  '9007199254740993',
  'null',
  '\\u0000',
  '\x00',
  '\xff',
  '__proto__',
  '"shape":',
  '"F16"',
];

function mutate(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1);
  const end = Math.min(bytes.length, at + random.below(12));
  const [head, cut, tail] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)];
  switch (random.below(5)) {
    case 0:
      return Buffer.concat([head, tail]);
    case 1:
      return Buffer.concat([head, cut, cut, tail]);
    case 2:
      return Buffer.concat([head, Buffer.from([random.below(256)]), bytes.subarray(at + 1)]);
    case 3:
      return Buffer.concat([head, Buffer.from(hostile[random.below(hostile.length)] as string, 'latin1'), tail]);
    default:
      return Buffer.concat([head, Buffer.from(String(random.below(64))), bytes.subarray(at + random.below(3))]);
  }
}

function parse(file: Buffer): { tensors: Map<string, TensorEntry>; dataBytes: number } {
  const length = readHeaderLength(Buffer.concat([file.subarray(0, 8), Buffer.alloc(8)]), file.length, 'fuzz');
  const dataBytes = file.length - 8 - length;
  return { tensors: parseHeader(file.subarray(8, 8 + length), dataBytes, 'fuzz'), dataBytes };
}

t.test('a spoilt header is refused with one kind of error, or what it says holds', async (t) => {
  const random = new Random(1);
  const counts = { read: 0, refused: 0 };
  for (let round = 0; round < 20_000; round++) {
    let file = sound;
    for (let times = random.below(3); times >= 0; times--) file = mutate(file, random);
    // Half of the time the length is put right, so that more than its check is reached.
    if (random.below(2) && file.length > 8) {
      file = Buffer.from(file);
      file.writeBigUInt64LE(BigInt(Math.max(0, file.lastIndexOf('}') + 1 - 8)));
    }
    try {
      const { tensors, dataBytes } = parse(file);
      const sizes = [...tensors.values()].map(({ dtype, shape, start, end }) => {
        if (end - start !== byteLength(dtype, shape) || end > dataBytes) t.fail(`round ${round}: not within the data`);
        return end - start;
      });
      if (sizes.reduce((sum, bytes) => sum + bytes, 0) !== dataBytes) t.fail(`round ${round}: data not covered`);
      counts.read++;
    } catch (error) {
      if (!(error instanceof EspalierError) || error.code !== 'ERR_CHECKPOINT') t.fail(`round ${round}: ${error}`);
      counts.refused++;
    }
  }
  t.ok(counts.read > 100, `${counts.read} spoilt files were still sound`);
  t.ok(counts.refused > 10_000, `${counts.refused} were refused`);
});

const settings = [
  ...Object.keys(tinyConfig),
  'num_labels',
  'id2label',
  'problem_type',
  'pruned_heads',
  'is_decoder',
  'espalier',
];
const odd = [
  null,
  true,
  '',
  'gelu',
  0,
  -1,
  1.5,
  2 ** 31,
  1e300,
  [],
  [0],
  ['x'],
  {},
  { 0: 'a' },
  { format: 1 },
  { format: 1, heads_per_layer: [0, 9] },
];
const codes = ['ERR_CHECKPOINT', 'ERR_UNSUPPORTED', 'ERR_NON_FINITE'];

t.test('a spoilt config.json or weight file is read or refused with one kind of error', async (t) => {
  const random = new Random(3);
  const path = writeTiny(t.testdir());
  const weights = readFileSync(join(path, 'model.safetensors'));
  let refused = 0;
  for (let round = 0; round < 1000; round++) {
    const config: Record<string, unknown> = { ...tinyConfig };
    const text = () => Buffer.from(JSON.stringify(config));
    const spoil = random.below(3);
    if (spoil === 0) config[settings[random.below(settings.length)] as string] = odd[random.below(odd.length)];
    writeFileSync(join(path, 'config.json'), spoil === 1 ? mutate(text(), random) : text());
    writeFileSync(join(path, 'model.safetensors'), spoil === 2 ? mutate(weights, random) : weights);
    await readCheckpoint(path).catch((error) => {
      refused++;
      if (!(error instanceof EspalierError) || !codes.includes(error.code)) t.fail(`round ${round}: ${error}`);
    });
  }
  t.ok(refused > 300, `${refused} were refused`);
});
