import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Checkpoint, readCheckpoint, writeCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { weightShapes } from '../../src/checkpoint/roles.js';
import { SafetensorsFile } from '../../src/checkpoint/safetensors-reader.js';
import type { KeptUnits, TensorData } from '../../src/native/addon.js';
import type { ErrorCode } from '../../src/native/errors.js';
import { Model } from '../../src/native/model.js';
import { goldenCheckpoint, openModel, packSequences, readGolden } from '../model/support/golden.js';
import { repoRoot } from '../support/paths.js';
import { counting, encodeSafetensors, type TinyTensor, type TinyTensors } from './tiny.js';

const directory = t.testdir();
let count = 0;

const names = ['bert-span', 'distilbert', 'distilbert-span', 'roberta', 'roberta-span'] as const;
type Name = (typeof names)[number];

/** A golden checkpoint with other settings, and with further tensors. */
async function variant(name: Name, settings: object, more: TinyTensors = {}): Promise<string> {
  const path = join(directory, `model-${count++}`);
  cpSync(join(repoRoot, 'test/golden', name), path, { recursive: true });
  const config = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
  writeFileSync(join(path, 'config.json'), JSON.stringify({ ...config, ...settings }));
  const { weights, tensorNames } = await goldenCheckpoint(name);
  const stored = [...tensorNames].map(([role, tensorName]) => {
    const { shape, data } = weights.get(role) as TensorData;
    return [tensorName, { dtype: 'F32', shape, data: Buffer.from(data) } satisfies TinyTensor] as const;
  });
  writeFileSync(join(path, 'model.safetensors'), encodeSafetensors({ ...Object.fromEntries(stored), ...more }));
  return path;
}

const bertLike = { hiddenSize: 24, vocabularySize: 97, layerNormEpsilon: 1e-12 };

const expected: Record<Name, { architecture: string; problem: string; labels: string[]; spec: object }> = {
  'bert-span': {
    architecture: 'bert',
    problem: 'span',
    labels: ['start', 'end'],
    spec: { ...bertLike, head: 'span', tokenTypes: 2, maxPositions: 64, positionPadding: -1, labels: 2 },
  },
  distilbert: {
    architecture: 'distilbert',
    problem: 'classification',
    labels: ['LABEL_0', 'LABEL_1', 'LABEL_2'],
    spec: { ...bertLike, head: 'sequence', headActivation: 'relu', tokenTypes: 0, positionPadding: -1, labels: 3 },
  },
  'distilbert-span': {
    architecture: 'distilbert',
    problem: 'span',
    labels: ['start', 'end'],
    spec: { ...bertLike, head: 'span', activation: 'relu', tokenTypes: 0, positionPadding: -1, labels: 2 },
  },
  roberta: {
    architecture: 'roberta',
    problem: 'classification',
    labels: ['LABEL_0', 'LABEL_1'],
    spec: { head: 'sequence', headActivation: 'tanh', tokenTypes: 1, layerNormEpsilon: 1e-5, positionPadding: 1 },
  },
  'roberta-span': {
    architecture: 'roberta',
    problem: 'span',
    labels: ['start', 'end'],
    spec: { head: 'span', headSize: 12, tokenTypes: 1, maxPositions: 66, positionPadding: 1, labels: 2 },
  },
};

for (const name of names) {
  t.test(`${name}: every tensor that transformers stores has a role`, async (t) => {
    const checkpoint = await goldenCheckpoint(name);
    t.match(checkpoint, expected[name]);
    const file = await SafetensorsFile.open(join(checkpoint.directory, 'model.safetensors'));
    t.same([...checkpoint.tensorNames.values()].sort(), [...file.tensors.keys()].sort());
    await file.close();
  });

  t.test(`${name}: a pruned model computes the same after it was written and read`, async (t) => {
    using model = await openModel(name, { mode: 'inference' });
    const kept: KeptUnits = { heads: [[], [0, 1]], neurons: [[3, 5, 8, 13], []] };
    using pruned = await model.select(kept, 'inference');
    const output = join(directory, `model-${count++}`);
    const weights = new Map<string, TensorData>();
    for (const [role, shape] of weightShapes(pruned.spec)) {
      weights.set(role, { ...(await pruned.weight(role, 'f32')), shape });
    }
    await writeCheckpoint({ ...(await goldenCheckpoint(name)), spec: pruned.spec, weights }, output);
    const read: Checkpoint = await readCheckpoint(output);
    t.same(read.spec, pruned.spec);
    using again = await Model.create(model.engine, read.spec, read.weights, 'inference');
    const batch = packSequences(readGolden(`${name}.json`).sequences);
    t.same(await again.forward(batch), await pruned.forward(batch));
  });
}

t.test('settings that are left out have the defaults of transformers', async (t) => {
  const read = async (name: Name, settings: object) => (await readCheckpoint(await variant(name, settings))).spec;
  t.match(await read('roberta', { pad_token_id: undefined, hidden_act: undefined }), {
    positionPadding: 1,
    activation: 'gelu',
  });
  t.match(await read('roberta', { layer_norm_eps: undefined }), { layerNormEpsilon: 1e-12 });
  t.match(await read('distilbert-span', { activation: undefined }), { activation: 'gelu' });
  t.match(await read('distilbert', { sinusoidal_pos_embds: true }), { tokenTypes: 0 }, 'it only matters for training');
  t.match(await read('bert-span', { id2label: { 0: 'yes', 1: 'no' }, problem_type: 'regression' }), { labels: 2 });
});

t.test('a pooler is tolerated where the class has one and does not read it', async (t) => {
  const pooler = (prefix: string) => ({
    [`${prefix}pooler.dense.weight`]: counting('F32', 24, 24),
    [`${prefix}pooler.dense.bias`]: counting('F32', 24),
  });
  for (const [name, prefix] of [
    ['bert-span', 'bert.'],
    ['roberta', 'roberta.'],
    ['roberta-span', 'roberta.'],
  ] as const) {
    const { weights } = await readCheckpoint(await variant(name, {}, pooler(prefix)));
    t.equal(weights.size, (await goldenCheckpoint(name)).weights.size, name);
  }
  await t.rejects(readCheckpoint(await variant('distilbert', {}, pooler('distilbert.'))), {
    code: 'ERR_CHECKPOINT',
    message: /unknown "distilbert\.pooler\.dense\.weight"/,
  });
});

const refused: [string, Name, object, ErrorCode, RegExp][] = [
  ['XLM-RoBERTa', 'roberta', { model_type: 'xlm-roberta' }, 'ERR_UNSUPPORTED', /model_type "xlm-roberta"/],
  ['CamemBERT', 'roberta', { model_type: 'camembert' }, 'ERR_UNSUPPORTED', /model_type "camembert"/],
  [
    'a class of another family',
    'roberta',
    { architectures: ['BertForSequenceClassification'] },
    'ERR_UNSUPPORTED',
    /"BertForSequenceClassification" .* "RobertaForSequenceClassification", "RobertaForQuestionAnswering"/,
  ],
  [
    'a head of another kind',
    'distilbert',
    { architectures: ['DistilBertForMaskedLM'] },
    'ERR_UNSUPPORTED',
    /DistilBertForMaskedLM/,
  ],
  [
    'the weights of another head',
    'distilbert',
    { architectures: ['DistilBertForQuestionAnswering'] },
    'ERR_CHECKPOINT',
    /lack "qa_outputs\.weight"/,
  ],
  ['an unknown activation', 'distilbert', { activation: 'silu' }, 'ERR_UNSUPPORTED', /activation "silu"/],
  ['relative positions', 'roberta', { position_embedding_type: 'relative_key' }, 'ERR_UNSUPPORTED', /relative_key/],
  ['a decoder', 'roberta', { is_decoder: true }, 'ERR_UNSUPPORTED', /is_decoder/],
  ['cross-attention', 'roberta', { add_cross_attention: true }, 'ERR_UNSUPPORTED', /add_cross_attention/],
  ['heads pruned by transformers', 'distilbert', { pruned_heads: { 0: [1] } }, 'ERR_UNSUPPORTED', /pruned_heads/],
  ['quantized weights', 'distilbert', { quantization_config: { bits: 8 } }, 'ERR_UNSUPPORTED', /quantized/],
  ['no dim', 'distilbert', { dim: undefined }, 'ERR_CHECKPOINT', /: dim: /],
  ['heads that do not divide the width', 'distilbert', { n_heads: 5 }, 'ERR_CHECKPOINT', /n_heads: .* dim 24/],
  ['a billion layers', 'distilbert', { n_layers: 1e9 }, 'ERR_CHECKPOINT', /n_layers/],
  ['padding that is no id', 'roberta', { pad_token_id: null }, 'ERR_CHECKPOINT', /pad_token_id/],
  ['a negative padding', 'roberta', { pad_token_id: -1 }, 'ERR_CHECKPOINT', /pad_token_id/],
  ['no position after the padding', 'roberta', { pad_token_id: 65 }, 'ERR_CHECKPOINT', /pad_token_id: leaves no/],
];

for (const [what, name, settings, code, message] of refused) {
  t.test(`${what} (${name}) is refused by name`, async (t) => {
    await t.rejects(readCheckpoint(await variant(name, settings)), { code, message });
  });
}
