import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { TorchFile } from '../../src/checkpoint/torch-reader.js';
import type { EspalierError } from '../../src/native/errors.js';
import { counting, tinyTensors, writeTiny } from './tiny.js';
import {
  encodeTorch,
  encodeZip,
  pickle,
  stateDict,
  type TinyEntry,
  type TinyView,
  tensorOf,
  torchFiles,
} from './tiny-torch.js';

interface BadTorch {
  what: string;
  bytes: () => Buffer;
  message: string;
}

const tensors = { weight: counting('F32', 2, 3), bias: counting('F16', 2) };
const sound = torchFiles(tensors);
const concat = (...pieces: (Buffer | string)[]) =>
  Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)));

const bytes = (what: string, make: () => Buffer, message: string): BadTorch => ({ what, bytes: make, message });

/** One of the archive's files changed: 0 the pickle, 1 the byte order, 2 the first storage. */
const entry = (what: string, index: number, change: Partial<TinyEntry>, message: string): BadTorch =>
  bytes(
    what,
    () => encodeZip(sound.map(([name, file], n) => [name, n === index ? { ...file, ...change } : file])),
    message,
  );

const program = (what: string, data: Buffer | string, message: string): BadTorch =>
  entry(what, 0, { data: concat(data) }, message);

const value = (what: string, operations: Buffer, message: string): BadTorch =>
  program(what, stateDict({ weight: operations }), message);

const view = (what: string, change: Partial<TinyView>, message: string): BadTorch =>
  value(what, tensorOf(tensors.weight, '0', change), message);

const { call, global, int, none, text, tuple } = pickle;
const system = global('os', 'system');

const bad: BadTorch[] = [
  bytes('an empty file', () => Buffer.alloc(0), 'no whole zip archive'),
  bytes('a safetensors file', () => Buffer.from('\x02\0\0\0\0\0\0\0{}'), 'no whole zip archive'),
  bytes('a Git LFS pointer', () => Buffer.from('version https://git-lfs.github.com/spec/v1\n'), 'no whole zip archive'),
  bytes('a file cut short', () => encodeZip(sound).subarray(0, -1), 'no whole zip archive'),
  bytes('a file without its beginning', () => encodeZip(sound).subarray(9), 'its directory does not fit'),
  bytes('an archive of nothing', () => encodeZip([]), 'it has no data.pkl'),
  bytes('an archive without a pickle', () => encodeZip(sound.slice(1)), 'it has no data.pkl'),
  bytes(
    'an archive without a storage',
    () => encodeZip(sound.slice(0, 3)),
    'tensor "bias" needs a storage of 4 bytes and has none',
  ),
  bytes('two files of one name', () => encodeZip([...sound, ...sound.slice(2, 3)]), 'two entries have one name'),
  bytes(
    'more entries than any checkpoint',
    () => {
      const archive = encodeZip(sound);
      archive.writeUInt16LE(0xffff, archive.length - 12);
      return archive;
    },
    'its directory claims 65535 entries',
  ),
  bytes(
    'an entry fewer than claimed',
    () => {
      const archive = encodeZip(sound);
      archive.writeUInt16LE(5, archive.length - 12);
      return archive;
    },
    'its directory has no entry 5 of 5',
  ),
  bytes(
    'a zip64 locator that points nowhere',
    () => {
      const archive = encodeZip(sound);
      const locator = concat('PK\x06\x07', Buffer.alloc(4), Buffer.alloc(8, 0x10), Buffer.alloc(4));
      return Buffer.concat([archive.subarray(0, -22), locator, archive.subarray(-22)]);
    },
    'it claims a size of 1157442765409226768 bytes',
  ),
  entry('a compressed entry', 2, { method: 8 }, 'entry "archive/data/0" is compressed'),
  entry('an encrypted entry', 2, { flags: 1 }, 'entry "archive/data/0" is encrypted'),
  entry('an entry that unpacks to more', 2, { unpacked: 2 ** 31 }, 'has two sizes, 2147483648 and 24'),
  entry('an entry beyond the file', 2, { bytes: 2 ** 31 }, 'entry "archive/data/0" does not fit'),
  entry('an entry over the next one', 2, { bytes: 40 }, 'overlaps the one before'),
  entry('an entry without a header', 2, { at: 1 }, 'entry "archive/data/0" has no header at byte 1'),
  entry('an entry past the directory', 2, { at: 2 ** 31 }, 'has no header at byte 2147483648'),
  entry('an entry of two names', 2, { localName: 'archive/data/9' }, 'entry "archive/data/0" has no header'),
  entry('a big-endian file', 1, { data: Buffer.from('big') }, 'its byte order is "big"'),
  entry('a storage too short', 2, { data: Buffer.alloc(20) }, 'needs a storage of 24 bytes and has 20 bytes'),
  entry('a storage too long', 2, { data: Buffer.alloc(28) }, 'needs a storage of 24 bytes and has 28 bytes'),
  value('a call of a program', call(system, tuple(text('true'))), 'asks for "os.system", which no weights need'),
  value('a call of eval', call(global('builtins', 'eval'), tuple(text('1'))), '"builtins.eval"'),
  value('a name by STACK_GLOBAL', concat(text('os'), text('system'), '\x93'), '"os.system"'),
  value('a name out of the prototype', global('constructor', 'name'), '"constructor.name"'),
  value('the old name of a program', global('__builtin__', 'apply'), '"__builtin__.apply"'),
  value('an INST', concat('(ios\nsystem\n'), 'the operation 0x69, which no weights need'),
  value('an OBJ', concat('(', global('collections', 'OrderedDict'), 'o'), 'the operation 0x6f'),
  value('a NEWOBJ', concat(global('collections', 'OrderedDict'), ')\x81'), 'the operation 0x81'),
  value('an EXT1', concat('\x82\x01'), 'the operation 0x82'),
  value('a persistent id as text', concat('Pstorage\n'), 'the operation 0x50'),
  value('a call of a storage', call(global('torch', 'FloatStorage'), tuple(int(9))), 'calls what is no function'),
  value('a call of a text', call(text('os.system'), tuple()), 'calls what is no function'),
  value('a call without a tuple', call(global('collections', 'OrderedDict'), none), 'a call without arguments'),
  value('an OrderedDict of pairs', call(global('collections', 'OrderedDict'), tuple(tuple())), 'fills an OrderedDict'),
  value('a state of a text', concat(text('a'), '}b'), 'sets the state of no dict'),
  value('a state of a tensor', concat(tensorOf(tensors.weight, '0'), '}b'), 'sets the state of no dict'),
  value('a parameter of nothing', call(global('torch._utils', '_rebuild_parameter'), tuple(none)), 'no tensor'),
  value('a tensor of nothing', call(global('torch._utils', '_rebuild_tensor_v2'), tuple()), 'a broken tensor'),
  value('a storage of nothing', concat(tuple(text('storage')), 'Q'), 'a broken storage'),
  value('a number', int(1), 'its entry "weight" is no tensor'),
  value(
    'a learning rate',
    concat('G', Buffer.alloc(8)),
    'holds no plain state dict: its entry "weight" is no tensor (save it again: torch.save(model.state_dict(), path))',
  ),
  value(
    'a dict of tensors',
    concat('}', text('a'), tensorOf(tensors.weight, '0'), 's'),
    'its entry "weight" is no tensor',
  ),
  program('a list', '].', 'it holds no state dict'),
  program('a state dict in itself', '}q\x00X\x01\0\0\0ah\x00s.', 'its entry "a" is no tensor'),
  program(
    'a tensor without a name',
    concat('}', int(1), tensorOf(tensors.weight, '0'), 's.'),
    'a name that is no text',
  ),
  program('a pickle cut short', stateDict({}).subarray(0, -1), 'its pickle is cut short'),
  program('an empty pickle', '', 'its pickle is cut short'),
  program('a text beyond the pickle', 'X\xff\xff\xff\x7f.', 'its pickle is cut short'),
  program('a line without an end', 'ctorch', 'its pickle is cut short'),
  program('a pop off the empty stack', '0.', 'the operation 0x30'),
  program('an end of nothing', '.', 'takes more than there is'),
  program('a tuple of nothing', '\x85.', 'takes more than there is'),
  program('a tuple across a mark', '}(\x85.', 'takes more than there is'),
  program('a mark never made', 't.', 'takes more than there is'),
  program('a memo never made', 'h\x07.', 'refers to nothing'),
  program('an item of no dict', ']NNs.', 'sets items of no dict'),
  program('half an item', '}(Nu.', 'sets items of no dict'),
  program('an append to no list', '}Na.', 'appends to no list'),
  program(
    'a number of many digits',
    concat('\x8a\xff', Buffer.alloc(255, 0x7f), '.'),
    'a number that is none of a tensor',
  ),
  program('a number beyond 2^53', concat('\x8a\x08', Buffer.alloc(8, 0x7f), '.'), 'a number that is none of a tensor'),
  program('a million dicts', Buffer.alloc(2_000_000, '}'), 'its pickle has over 1000000 operations'),
  view('a tensor behind its storage', { offset: 1 }, 'a tensor of shape [2,3] lies outside of its storage'),
  view('strides out of the storage', { strides: [4, 1] }, 'lies outside of its storage'),
  view('a negative offset', { offset: -1 }, 'a broken tensor'),
  view('a negative stride', { strides: [3, -1] }, 'a broken tensor'),
  view('a stride too few', { strides: [1] }, 'lies outside of its storage'),
  view(
    'a tensor larger than its storage',
    { shape: [2 ** 30, 2 ** 30], strides: [0, 0] },
    'lies outside of its storage',
  ),
  view('a storage of a negative size', { elements: -6 }, 'a broken storage'),
  view('a storage of another size', { elements: 7 }, 'needs a storage of 28 bytes and has 24 bytes'),
];

const directory = t.testdir();

for (const [index, { what, bytes, message }] of bad.entries()) {
  t.test(`${what}: ERR_CHECKPOINT`, async (t) => {
    const path = join(directory, `${index}.bin`);
    writeFileSync(path, bytes());
    const error: EspalierError = await TorchFile.open(path).then(
      () => t.fail('was read'),
      (reason) => reason,
    );
    t.match(error, { name: 'EspalierError', code: 'ERR_CHECKPOINT' });
    t.ok(error.message.startsWith(path), 'names the file');
    t.ok(error.message.includes(message), error.message);
    t.notMatch(error.message, /\n/, 'is one line');
    t.ok(error.message.length < 400, 'is short');
  });
}

t.test('the same file unspoilt is read', async (t) => {
  const path = join(directory, 'sound.bin');
  writeFileSync(path, encodeZip(sound));
  const file = await TorchFile.open(path);
  t.teardown(() => file.close());
  t.same(Buffer.from(await file.read('weight', () => undefined)), tensors.weight.data);
});

const weights = (
  what: string,
  change: (all: ReturnType<typeof tinyTensors>) => void,
  code: string,
  message: RegExp,
) => {
  t.test(`${what}: ${code}`, async (t) => {
    const all = tinyTensors();
    change(all);
    const path = writeTiny(join(directory, what.replaceAll(' ', '-')), {
      file: 'pytorch_model.bin',
      weights: encodeTorch(all),
    });
    await t.rejects(readCheckpoint(path), { code, message });
  });
};

const first = 'bert.embeddings.word_embeddings.weight';
weights('a weight missing', (all) => delete all[first], 'ERR_CHECKPOINT', /weights lack "bert\.embeddings\.word/);
weights('a NaN', (all) => all[first]?.data.writeUInt16LE(0x7e00, 100), 'ERR_NON_FINITE', /holds NaN or infinite/);
weights(
  'weights in double precision',
  (all) => Object.assign(all, { 'classifier.bias': counting('F64', 2) }),
  'ERR_UNSUPPORTED',
  /"classifier.bias" has the dtype F64/,
);
weights(
  'a layer norm by two names',
  (all) => Object.assign(all, { 'bert.embeddings.LayerNorm.gamma': counting('F16', 8) }),
  'ERR_CHECKPOINT',
  /holds "bert\.embeddings\.LayerNorm\.gamma" beside "bert\.embeddings\.LayerNorm\.weight"/,
);
