import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { hasShared, sharedPath } from '../support/paths.js';
import { counting, encodeSafetensors, tinyConfig, tinyTensors, writeTiny, writeTinyShards } from './tiny.js';

const directory = t.testdir();
let count = 0;
const fresh = () => join(directory, `model-${count++}`);

t.test('reads a model: spec, roles, names, labels, raw bytes', async (t) => {
  const tensors = tinyTensors();
  const weights = encodeSafetensors(tensors);
  const model = await readCheckpoint(writeTiny(fresh(), { weights }));
  t.same(model.spec, {
    hiddenSize: 8,
    headSize: 4,
    vocabularySize: 20,
    maxPositions: 16,
    tokenTypes: 2,
    layerNormEpsilon: 1e-12,
    activation: 'gelu',
    layers: [
      { heads: 2, neurons: 12 },
      { heads: 2, neurons: 12 },
    ],
    head: 'sequence',
    headActivation: 'tanh',
    positionPadding: -1,
    labels: 2,
  });
  t.match(model, { architecture: 'bert', dtype: 'f16', labels: ['LABEL_0', 'LABEL_1'], problem: 'classification' });
  t.equal(model.bytes, weights.length);
  t.same(model.config, tinyConfig);
  t.equal(model.weights.size, Object.keys(tensors).length, 'every tensor has a role');
  for (const [role, name] of model.tensorNames) {
    const { shape, data } = tensors[name] as { shape: number[]; data: Buffer };
    t.same(model.weights.get(role)?.shape, shape);
    t.ok(data.equals(model.weights.get(role)?.data as Uint8Array), role);
  }
  t.equal(model.tensorNames.get('layers.1.attention.output.bias'), 'bert.encoder.layer.1.attention.output.dense.bias');
  t.equal(model.tensorNames.get('layers.0.ffn.in.weight'), 'bert.encoder.layer.0.intermediate.dense.weight');
  t.equal(model.tensorNames.get('embeddings.tokenType'), 'bert.embeddings.token_type_embeddings.weight');
  t.equal(model.tensorNames.get('classifier.weight'), 'classifier.weight');
});

t.test('reads tensors stored without the prefix, and gives them the names that transformers reads', async (t) => {
  const model = await readCheckpoint(writeTiny(fresh(), { weights: encodeSafetensors(tinyTensors({ prefix: '' })) }));
  const prefixed = await readCheckpoint(writeTiny(fresh()));
  t.same(model.weights, prefixed.weights);
  t.same(model.tensorNames, prefixed.tensorNames);
});

t.test('reads shards', async (t) => {
  const path = writeTinyShards(fresh());
  const whole = await readCheckpoint(path);
  rmSync(join(path, 'model.safetensors'));
  const sharded = await readCheckpoint(path);
  t.same(sharded.weights, whole.weights);
  t.same(sharded.tensorNames, whole.tensorNames);
});

t.test('every dtype of weights is kept; mixed ones count as f32', async (t) => {
  for (const [dtype, expected] of [
    ['F32', 'f32'],
    ['F16', 'f16'],
    ['BF16', 'bf16'],
  ] as const) {
    const model = await readCheckpoint(writeTiny(fresh(), { weights: encodeSafetensors(tinyTensors({ dtype })) }));
    t.equal(model.dtype, expected);
    t.ok([...model.weights.values()].every((tensor) => tensor.dtype === expected));
  }
  const mixed = { ...tinyTensors(), 'bert.embeddings.LayerNorm.bias': counting('F32', 8) };
  t.equal((await readCheckpoint(writeTiny(fresh(), { weights: encodeSafetensors(mixed) }))).dtype, 'f32');
});

t.test('tolerates stored position_ids', async (t) => {
  const weights = encodeSafetensors({ ...tinyTensors(), 'bert.embeddings.position_ids': counting('I64', 1, 16) });
  t.equal((await readCheckpoint(writeTiny(fresh(), { weights }))).weights.size, Object.keys(tinyTensors()).length);
});

t.test('reads a pruned model with an emptied sub-layer', async (t) => {
  const espalier = { format: 1, heads_per_layer: [0, 1], neurons_per_layer: [5, 0] };
  const weights = encodeSafetensors(tinyTensors({ heads: [0, 1], neurons: [5, 0] }));
  const model = await readCheckpoint(writeTiny(fresh(), { config: { espalier }, weights }));
  t.same(model.spec.layers, [
    { heads: 0, neurons: 5 },
    { heads: 1, neurons: 0 },
  ]);
  t.same(model.weights.get('layers.0.attention.output.weight'), {
    dtype: 'f16',
    shape: [8, 0],
    data: new Uint8Array(0),
  });
});

t.test('labels and problem follow config.json as transformers reads it', async (t) => {
  const read = async (config: object, labels: number) => {
    const weights = encodeSafetensors(tinyTensors({ labels }));
    const model = await readCheckpoint(writeTiny(fresh(), { config, weights }));
    return { labels: model.labels, problem: model.problem, logits: model.spec.labels };
  };
  t.same(await read({ num_labels: 3 }, 3), {
    labels: ['LABEL_0', 'LABEL_1', 'LABEL_2'],
    problem: 'classification',
    logits: 3,
  });
  t.same((await read({ id2label: { 1: 'good', 0: 'bad' } }, 2)).labels, ['bad', 'good']);
  t.same((await read({ id2label: { 0: 1, 1: 5 } }, 2)).labels, ['1', '5'], 'numbers as names');
  t.match(await read({ num_labels: 1 }, 1), { labels: ['LABEL_0'], problem: 'regression' });
  t.match(await read({ id2label: { 0: 'score' }, problem_type: 'regression' }, 1), { problem: 'regression' });
  t.match(await read({ problem_type: null, id2label: null }, 2), { problem: 'classification' });
});

t.test('settings that are left out have the defaults of transformers', async (t) => {
  const { layer_norm_eps, hidden_act, type_vocab_size, ...config } = tinyConfig;
  const path = writeTiny(fresh());
  writeFileSync(join(path, 'config.json'), JSON.stringify(config));
  t.match((await readCheckpoint(path)).spec, {
    layerNormEpsilon: layer_norm_eps,
    activation: hidden_act,
    tokenTypes: type_vocab_size,
  });
});

t.test('an aborted signal stops reading', async (t) => {
  const signal = AbortSignal.abort();
  await t.rejects(readCheckpoint(writeTiny(fresh()), { signal }), { code: 'ERR_CANCELLED' });
});

t.test('reads real checkpoints', { skip: !hasShared && 'the shared models are absent' }, async (t) => {
  for (const [name, architecture, layers, labels, problem, other] of [
    ['minilm-mrpc', 'bert', 6, 2, 'classification', 9],
    ['minilm-stsb', 'bert', 6, 1, 'regression', 9],
    ['sentiment-mini', 'bert', 4, 2, 'classification', 9],
    ['minilm-squad', 'bert', 6, 2, 'span', 7],
    ['distil-qnli', 'distilbert', 6, 2, 'classification', 8],
    ['roberta-sst2', 'roberta', 6, 2, 'classification', 9],
  ] as const) {
    const path = sharedPath('models', name);
    const model = await readCheckpoint(path);
    t.match(model, {
      architecture,
      problem,
      dtype: 'f16',
      bytes: readFileSync(join(path, 'model.safetensors')).length,
    });
    t.equal(model.spec.layers.length, layers);
    t.equal(model.labels.length, labels);
    t.equal(model.weights.size, 16 * layers + other);
  }
});
