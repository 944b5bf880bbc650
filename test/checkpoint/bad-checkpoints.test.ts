import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import type { ErrorCode, EspalierError } from '../../src/native/errors.js';
import { counting, encodeSafetensors, type TinyTensors, tinyTensors, writeTiny, writeTinyShards } from './tiny.js';

interface BadCheckpoint {
  what: string;
  make: (directory: string) => unknown;
  code: ErrorCode;
  message: string;
}

const config = (what: string, settings: object, code: ErrorCode, message: string): BadCheckpoint => ({
  what,
  make: (directory) => writeTiny(directory, { config: settings }),
  code,
  message,
});

const tokenPruning = (what: string, settings: object, message: string): BadCheckpoint =>
  config(
    what,
    { espalier: { format: 1, heads_per_layer: [2, 2], neurons_per_layer: [12, 12], ...settings } },
    'ERR_CHECKPOINT',
    `config.json: espalier.${message}`,
  );

const bytes = (what: string, weights: () => Buffer, message: string, code: ErrorCode = 'ERR_CHECKPOINT') => ({
  what,
  make: (directory: string) => writeTiny(directory, { weights: weights() }),
  code,
  message,
});

const tensors = (what: string, change: (tensors: TinyTensors) => void, message: string, code?: ErrorCode) =>
  bytes(
    what,
    () => {
      const changed = tinyTensors();
      change(changed);
      return encodeSafetensors(changed);
    },
    message,
    code,
  );

/** Spoils one tensor's description: the file's first, 320 bytes of F16 [20, 8]. */
const first = 'bert.embeddings.word_embeddings.weight';
const header = (what: string, change: (entry: Record<string, unknown>) => void, message: string) =>
  bytes(
    what,
    () =>
      encodeSafetensors(tinyTensors(), {
        header: (value) => {
          change(value[first] as Record<string, unknown>);
          return value;
        },
      }),
    message,
  );

const claimLength = (length: bigint) => {
  const file = encodeSafetensors(tinyTensors());
  file.writeBigUInt64LE(length);
  return file;
};

const shards = (what: string, map: (weightMap: Record<string, string>) => unknown, message: string): BadCheckpoint => ({
  what,
  make: (directory) => {
    writeTinyShards(directory, map);
    rmSync(join(directory, 'model.safetensors'));
  },
  code: 'ERR_CHECKPOINT',
  message,
});

const bad: BadCheckpoint[] = [
  { what: 'no directory', make: () => undefined, code: 'ERR_CHECKPOINT', message: 'no such file' },
  {
    what: 'no config.json',
    make: (directory) => rmSync(join(writeTiny(directory), 'config.json')),
    code: 'ERR_CHECKPOINT',
    message: 'config.json',
  },
  {
    what: 'config.json cut short',
    make: (directory) => truncateSync(join(writeTiny(directory), 'config.json'), 40),
    code: 'ERR_CHECKPOINT',
    message: 'config.json is no valid JSON',
  },
  {
    what: 'config.json that is no object',
    make: (directory) => writeFileSync(join(writeTiny(directory), 'config.json'), '[1]'),
    code: 'ERR_CHECKPOINT',
    message: 'holds no JSON object',
  },
  {
    what: 'config.json in Latin-1',
    make: (directory) =>
      writeFileSync(join(writeTiny(directory), 'config.json'), Buffer.from('{"a": "\xe9"}', 'latin1')),
    code: 'ERR_CHECKPOINT',
    message: 'not valid for encoding utf-8',
  },
  config('no model_type', { model_type: undefined }, 'ERR_CHECKPOINT', 'no model_type'),
  config(
    'another model_type',
    { model_type: 'gpt2' },
    'ERR_UNSUPPORTED',
    'model_type "gpt2" is not supported (supported: "bert", "distilbert", "roberta")',
  ),
  config(
    'another architecture',
    { architectures: ['BertForTokenClassification'] },
    'ERR_UNSUPPORTED',
    'BertForTokenClassification',
  ),
  config(
    'relative positions',
    { position_embedding_type: 'relative_key' },
    'ERR_UNSUPPORTED',
    'position_embedding_type',
  ),
  config('a decoder', { is_decoder: true }, 'ERR_UNSUPPORTED', 'is_decoder'),
  config('cross attention', { add_cross_attention: true }, 'ERR_UNSUPPORTED', 'add_cross_attention'),
  config(
    'an unknown activation',
    { hidden_act: 'swish' },
    'ERR_UNSUPPORTED',
    'hidden_act "swish" is not supported (supported: "gelu", "gelu_new", "relu")',
  ),
  config('heads pruned by transformers', { pruned_heads: { 0: [1] } }, 'ERR_UNSUPPORTED', 'pruned_heads'),
  config('quantized weights', { quantization_config: { bits: 4 } }, 'ERR_UNSUPPORTED', 'quantized'),
  config('no hidden_size', { hidden_size: undefined }, 'ERR_CHECKPOINT', 'hidden_size'),
  config('a text as a size', { vocab_size: '20' }, 'ERR_CHECKPOINT', 'vocab_size'),
  config('a fraction as a size', { intermediate_size: 12.5 }, 'ERR_CHECKPOINT', 'intermediate_size'),
  config('a negative size', { max_position_embeddings: -1 }, 'ERR_CHECKPOINT', 'max_position_embeddings'),
  config('a billion layers', { num_hidden_layers: 1e9 }, 'ERR_CHECKPOINT', 'num_hidden_layers'),
  config('a billion labels', { num_labels: 1e9 }, 'ERR_CHECKPOINT', 'num_labels'),
  config(
    'heads that do not divide the width',
    { num_attention_heads: 3 },
    'ERR_CHECKPOINT',
    'does not divide hidden_size 8',
  ),
  config(
    'labels with a gap',
    { id2label: { 0: 'a', 2: 'b' } },
    'ERR_CHECKPOINT',
    'id2label: has 2 labels, but none for 1',
  ),
  config('a label twice', { id2label: { 0: 'a', 1: 'a' } }, 'ERR_CHECKPOINT', 'id2label: has a label twice'),
  config('no labels', { id2label: {} }, 'ERR_CHECKPOINT', 'id2label: is empty'),
  config('two label counts', { num_labels: 3, id2label: { 0: 'a', 1: 'b' } }, 'ERR_CHECKPOINT', 'num_labels: is 3'),
  config(
    'several labels at once',
    { problem_type: 'multi_label_classification' },
    'ERR_UNSUPPORTED',
    'multi_label_classification',
  ),
  config('regression with two outputs', { problem_type: 'regression' }, 'ERR_UNSUPPORTED', 'with 2 outputs'),
  config(
    'one class',
    { problem_type: 'single_label_classification', num_labels: 1 },
    'ERR_CHECKPOINT',
    'only one label',
  ),
  config(
    'more labels than logits',
    { num_labels: 3 },
    'ERR_CHECKPOINT',
    '"classifier.weight" has the shape [2,8], config.json says [3,8]',
  ),
  config(
    'another vocabulary',
    { vocab_size: 21 },
    'ERR_CHECKPOINT',
    '"bert.embeddings.word_embeddings.weight" has the shape [20,8]',
  ),
  config(
    'more layers than weights',
    { num_hidden_layers: 3 },
    'ERR_CHECKPOINT',
    'lack "bert.encoder.layer.2.attention.self.query.weight"',
  ),
  config(
    'fewer layers than weights',
    { num_hidden_layers: 1 },
    'ERR_CHECKPOINT',
    'unknown "bert.encoder.layer.1.attention',
  ),
  config('a newer format', { espalier: { format: 2 } }, 'ERR_UNSUPPORTED', 'espalier.format 2'),
  config(
    'pruned widths missing',
    { espalier: { format: 1, heads_per_layer: [2, 2] } },
    'ERR_CHECKPOINT',
    'espalier.neurons_per_layer',
  ),
  config(
    'pruned widths of another depth',
    { espalier: { format: 1, heads_per_layer: [2], neurons_per_layer: [12, 12] } },
    'ERR_CHECKPOINT',
    'has 1 entries for 2 layers',
  ),
  config(
    'wider than the original',
    { espalier: { format: 1, heads_per_layer: [2, 3], neurons_per_layer: [12, 12] } },
    'ERR_CHECKPOINT',
    'espalier.heads_per_layer.1',
  ),
  config(
    'pruned widths without the weights',
    { espalier: { format: 1, heads_per_layer: [2, 1], neurons_per_layer: [12, 12] } },
    'ERR_CHECKPOINT',
    'layer.1.attention.self.query.weight',
  ),
  tokenPruning(
    'token thresholds beside keep rates',
    { token_thresholds: [0, 0], token_keep_rates: [1, 1] },
    'token_keep_rates: cannot stand beside token_thresholds',
  ),
  tokenPruning('too few token thresholds', { token_thresholds: [0] }, 'token_thresholds: has 1 entries for 2 layers'),
  tokenPruning('too many keep rates', { token_keep_rates: [1, 1, 1] }, 'token_keep_rates: has 3 entries for 2 layers'),
  tokenPruning('a negative token threshold', { token_thresholds: [0, -0.1] }, 'token_thresholds.1: '),
  tokenPruning('a token threshold beyond 32 bits', { token_thresholds: [0, 1e39] }, 'token_thresholds.1: '),
  tokenPruning('a token threshold that is no number', { token_thresholds: ['0', 0] }, 'token_thresholds.0: '),
  tokenPruning('token thresholds that are no list', { token_thresholds: 0.01 }, 'token_thresholds: '),
  tokenPruning('a keep rate of 0', { token_keep_rates: [1, 0] }, 'token_keep_rates.1: '),
  tokenPruning('a keep rate above 1', { token_keep_rates: [1.5, 1] }, 'token_keep_rates.0: '),
  tokenPruning('a padded length of 0', { token_thresholds: [0, 0], token_padded_length: 0 }, 'token_padded_length: '),
  tokenPruning(
    'a padded length with a fraction',
    { token_thresholds: [0, 0], token_padded_length: 12.5 },
    'token_padded_length: ',
  ),
  {
    what: 'an infinite token threshold',
    make: (directory) => {
      const espalier = { format: 1, heads_per_layer: [2, 2], neurons_per_layer: [12, 12], token_thresholds: [0, 0] };
      const path = join(writeTiny(directory, { config: { espalier } }), 'config.json');
      writeFileSync(path, readFileSync(path, 'utf8').replace('[0,0]', '[0,1e999]'));
    },
    code: 'ERR_CHECKPOINT',
    message: 'espalier.token_thresholds.1: ',
  },
  {
    what: 'no weights',
    make: (directory) => rmSync(join(writeTiny(directory), 'model.safetensors')),
    code: 'ERR_CHECKPOINT',
    message: 'has no model.safetensors or pytorch_model.bin',
  },
  {
    what: 'a directory in place of the weights',
    make: (directory) => {
      rmSync(join(writeTiny(directory), 'model.safetensors'));
      mkdirSync(join(directory, 'model.safetensors'));
    },
    code: 'ERR_CHECKPOINT',
    message: 'no regular file',
  },
  {
    what: 'a named pipe in place of the weights',
    make: (directory) => {
      rmSync(join(writeTiny(directory), 'model.safetensors'));
      execFileSync('mkfifo', [join(directory, 'model.safetensors')]);
    },
    code: 'ERR_CHECKPOINT',
    message: 'no regular file',
  },
  bytes('an empty file', () => Buffer.alloc(0), 'it has only 0 bytes'),
  bytes('a file shorter than its length', () => Buffer.alloc(7), 'it has only 7 bytes'),
  bytes('a header longer than the file', () => claimLength(99_999n), 'claims 99999 bytes'),
  bytes('a header over the limit', () => claimLength(2n ** 63n), 'over 100000000'),
  bytes(
    'a Git LFS pointer',
    () => Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n'),
    'no valid safetensors',
  ),
  bytes(
    'a header that is no JSON',
    () => encodeSafetensors(tinyTensors(), { json: (text) => text.replace('{', '[') }),
    'no JSON object',
  ),
  bytes(
    'a header with a byte order mark',
    () => encodeSafetensors(tinyTensors(), { json: (text) => `\ufeff${text}` }),
    'no JSON object',
  ),
  bytes(
    'a header that repeats a tensor',
    () =>
      encodeSafetensors(tinyTensors(), {
        json: (text) => `${text.slice(0, -1)},"classifier.bias":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}`,
      }),
    'repeats a key',
  ),
  bytes(
    'a header that repeats a dtype',
    () =>
      encodeSafetensors(tinyTensors(), {
        json: (text) => text.replace('"dtype":"F16"', '"dtype":"F32","dtype":"F16"'),
      }),
    'repeats a key',
  ),
  bytes(
    'metadata of numbers',
    () => encodeSafetensors(tinyTensors(), { header: (value) => ({ ...value, __metadata__: { a: 1 } }) }),
    '__metadata__',
  ),
  header('an unknown dtype', (entry) => Object.assign(entry, { dtype: 'F4' }), 'unknown dtype "F4"'),
  header(
    'a dtype out of the prototype',
    (entry) => Object.assign(entry, { dtype: 'constructor' }),
    'unknown dtype "constructor"',
  ),
  header('a negative extent', (entry) => Object.assign(entry, { shape: [-20, -8] }), 'shape [-20,-8]'),
  header('extents beyond all memory', (entry) => Object.assign(entry, { shape: [2 ** 52, 2 ** 52] }), 'needs'),
  header('a shape that is none', (entry) => Object.assign(entry, { shape: '20x8' }), 'shape "20x8"'),
  header('offsets of another shape', (entry) => Object.assign(entry, { data_offsets: [0, 318] }), 'needs 320 bytes'),
  header('offsets backwards', (entry) => Object.assign(entry, { data_offsets: [320, 0] }), 'needs 320 bytes'),
  header('one offset', (entry) => Object.assign(entry, { data_offsets: [0] }), 'data_offsets [0]'),
  header('an overlap', (entry) => Object.assign(entry, { data_offsets: [4, 324] }), 'starts at byte'),
  header('no offsets', (entry) => Object.assign(entry, { data_offsets: undefined }), 'not described by'),
  header('a foreign field', (entry) => Object.assign(entry, { stride: [8, 1] }), 'not described by'),
  bytes('data cut short', () => encodeSafetensors(tinyTensors()).subarray(0, -2), 'cut short'),
  bytes(
    'bytes behind the data',
    () => Buffer.concat([encodeSafetensors(tinyTensors()), Buffer.alloc(3)]),
    '3 bytes belong to no tensor',
  ),
  tensors('a weight missing', (all) => delete all['bert.pooler.dense.bias'], 'lack "bert.pooler.dense.bias"'),
  tensors('an unknown weight', (all) => Object.assign(all, { 'cls.bias': counting('F16', 2) }), 'unknown "cls.bias"'),
  tensors(
    'a weight with and without its prefix',
    (all) => Object.assign(all, { 'pooler.dense.bias': counting('F16', 8) }),
    'unknown "pooler.dense.bias"',
  ),
  tensors(
    'weights in double precision',
    (all) => Object.assign(all, { 'classifier.bias': counting('F64', 2) }),
    'dtype F64',
    'ERR_UNSUPPORTED',
  ),
  tensors('a NaN', (all) => all[first]?.data.writeUInt16LE(0x7e00, 100), 'holds NaN or infinite', 'ERR_NON_FINITE'),
  tensors(
    'an infinity',
    (all) => all['classifier.bias']?.data.writeUInt16LE(0xfc00, 2),
    '"classifier.bias" holds',
    'ERR_NON_FINITE',
  ),
  shards('an index without a map', () => undefined, 'no weight_map'),
  shards(
    'a shard outside of the directory',
    (map) => ({ ...map, [first]: '../../other.safetensors' }),
    'no file of its directory',
  ),
  shards('a shard by absolute path', (map) => ({ ...map, [first]: '/etc/passwd' }), 'no file of its directory'),
  shards('a shard that is not there', (map) => ({ ...map, [first]: 'model-3.safetensors' }), 'model-3.safetensors'),
  shards(
    'a tensor that no shard has',
    (map) => ({ ...map, more: 'model-00001-of-00002.safetensors' }),
    'lacks tensor "more"',
  ),
  shards(
    'a tensor in another shard',
    (map) => ({ ...map, [first]: 'model-00002-of-00002.safetensors' }),
    `holds tensor "${first}"`,
  ),
];

const directory = t.testdir();

for (const [index, { what, make, code, message }] of bad.entries()) {
  t.test(`${what}: ${code}`, async (t) => {
    const path = join(directory, String(index));
    make(path);
    const error: EspalierError = await readCheckpoint(path).then(
      () => t.fail('was read'),
      (reason) => reason,
    );
    t.equal(error.name, 'EspalierError');
    t.equal(error.code, code);
    t.ok(error.message.includes(message), error.message);
    t.notMatch(error.message, /\n/, 'is one line');
  });
}

t.test('the same checkpoint unspoilt is read', async (t) => {
  t.ok(await readCheckpoint(writeTiny(join(directory, 'sound'))));
});

t.test('a header padded with spaces is sound', async (t) => {
  const weights = encodeSafetensors(tinyTensors(), { json: (text) => `${text}   ` });
  t.ok(await readCheckpoint(writeTiny(join(directory, 'padded'), { weights })));
});

function openFiles(directory: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(directory) ? [path] : [];
    } catch {
      return []; // The listing's own descriptor is gone by now.
    }
  });
}

t.test(
  'no file stays open, whether reading succeeds or not',
  { skip: !existsSync('/proc') && 'needs /proc' },
  async (t) => {
    t.ok(await readCheckpoint(writeTiny(join(directory, 'closed'))));
    const broken = writeTiny(join(directory, 'broken'));
    appendFileSync(join(broken, 'model.safetensors'), 'x');
    await t.rejects(readCheckpoint(broken), 'fails on opening');
    const halved = writeTinyShards(join(directory, 'halved'));
    rmSync(join(halved, 'model.safetensors'));
    rmSync(join(halved, 'model-00002-of-00002.safetensors'));
    await t.rejects(readCheckpoint(halved), 'fails on opening the second shard');
    t.same(openFiles(directory), []);
  },
);
