import t from 'tap';
import { storedWeights } from '../../src/api/stored-weights.js';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { weightShapes } from '../../src/checkpoint/roles.js';
import type { DType, LayerShape, ModelSpec, PackedBatch, TensorData } from '../../src/native/addon.js';
import { Engine } from '../../src/native/engine.js';
import { Model } from '../../src/native/model.js';
import { encoderOnnx } from '../../src/onnx/encoder.js';
import {
  goldenCheckpoint,
  goldenModels,
  openModel,
  packSequences,
  readGolden,
  relativeError,
} from '../model/support/golden.js';
import { randomNumbers } from '../prune/random.js';
import { sentimentMini } from '../support/paths.js';
import { droppingLogits } from './support/dropping-encoder.js';
import { OnnxSession } from './support/onnxruntime.js';

/** Of the largest logit; half-precision weights are compared with the full-precision ones. */
const tolerances: Record<DType, number> = { f32: 5e-6, f16: 5e-3, bf16: 5e-2 };
/** Of random models, whose logits are of the order of 1. */
const agreement = 1e-4;

function openOnnx(spec: ModelSpec, weights: ReadonlyMap<string, TensorData>): Promise<OnnxSession> {
  return OnnxSession.open(Buffer.concat(encoderOnnx(spec, weights, '1.2.3')));
}

for (const name of goldenModels) {
  t.test(`onnxruntime computes PyTorch's logits of ${name}`, async (t) => {
    const { sequences, cases } = readGolden(`${name}.json`);
    const { spec, weights } = await goldenCheckpoint(name);
    const onnx = await openOnnx(spec, weights);
    const padding = Math.max(spec.positionPadding, 0);
    const actual = await onnx.logits(packSequences(sequences), { padding });
    t.ok(relativeError(actual, (cases[0]?.logits ?? []).flat()) < tolerances.f32);
    await onnx.release();
  });
}

const full: LayerShape = { heads: 4, neurons: 48 };
const widths: Record<string, LayerShape[]> = {
  dense: [full, full, full],
  pruned: [
    { heads: 3, neurons: 7 },
    { heads: 0, neurons: 48 },
    { heads: 1, neurons: 0 },
  ],
  emptied: [
    { heads: 0, neurons: 0 },
    { heads: 0, neurons: 0 },
  ],
};
const families: Record<string, Pick<ModelSpec, 'tokenTypes' | 'headActivation' | 'positionPadding'>> = {
  bert: { tokenTypes: 2, headActivation: 'tanh', positionPadding: -1 },
  distilbert: { tokenTypes: 0, headActivation: 'relu', positionPadding: -1 },
  roberta: { tokenTypes: 1, headActivation: 'tanh', positionPadding: 1 },
};
const heads = { sequence: { head: 'sequence', labels: 3 }, span: { head: 'span', labels: 2 } } as const;

function tinySpec(family: string, head: keyof typeof heads, layers: LayerShape[]): ModelSpec {
  return {
    hiddenSize: 32,
    headSize: 8,
    vocabularySize: 60,
    maxPositions: 514,
    layerNormEpsilon: 1e-12,
    activation: 'gelu',
    layers,
    ...(families[family] as (typeof families)[string]),
    ...heads[head],
  };
}

function randomWeights(spec: ModelSpec): Map<string, TensorData> {
  const random = randomNumbers(1);
  const weights = new Map<string, TensorData>();
  for (const [role, shape] of weightShapes(spec)) {
    const count = shape.reduce((product, extent) => product * extent, 1);
    const values = Float32Array.from({ length: count }, () => random() - 0.5);
    weights.set(role, { dtype: 'f32', shape, data: new Uint8Array(values.buffer) });
  }
  return weights;
}

function randomBatch({ vocabularySize }: ModelSpec, lengths: number[]): PackedBatch {
  const random = randomNumbers(2);
  const sequences = lengths.map((length) => ({
    // Any id may stand anywhere, the one of padding too.
    ids: Array.from({ length }, () => Math.floor(random() * vocabularySize)),
    types: Array.from({ length }, (_, token) => (2 * token < length ? 0 : 1)),
  }));
  return packSequences(sequences);
}

for (const family of Object.keys(families)) {
  for (const head of ['sequence', 'span'] as const) {
    for (const [name, layers] of Object.entries(widths)) {
      t.test(`${family} with a ${head} head, ${name}: onnxruntime computes the engine's logits`, async (t) => {
        const spec = tinySpec(family, head, layers);
        const weights = randomWeights(spec);
        using model = await Model.create(Engine.open(), spec, weights, 'inference');
        const onnx = await openOnnx(spec, weights);
        const padding = Math.max(spec.positionPadding, 0);
        for (const lengths of [[9, 1, 30], [1], [1, 512]]) {
          const batch = randomBatch(spec, lengths);
          const expected = await model.forward(batch);
          t.ok(relativeError(await onnx.logits(batch, { padding }), expected) < agreement, `lengths ${lengths}`);
        }
        const batch = randomBatch(spec, [9, 4]);
        const more = await onnx.logits(batch, { padding, extra: 100 });
        t.ok(relativeError(more, await model.forward(batch)) < agreement, 'however much padding');
        await onnx.release();
      });
    }
  }
}

/** Around the mean importance of 30 tokens, which is 1 / 30 in every layer, however many are left. */
const thresholds = [0.03, 0.04, 0.05];

for (const family of Object.keys(families)) {
  for (const head of ['sequence', 'span'] as const) {
    for (const [name, layers] of Object.entries(widths)) {
      t.test(`${family} with a ${head} head, ${name}: masking tokens gives what dropping them gives`, async (t) => {
        const spec: ModelSpec = { ...tinySpec(family, head, layers), activation: 'relu' };
        const weights = randomWeights(spec);
        const batch = randomBatch(spec, [9, 1, 30, 2]);
        const padding = Math.max(spec.positionPadding, 0);
        const everyToken = await openOnnx(spec, weights);
        const unpruned = await everyToken.logits(batch, { padding });
        await everyToken.release();
        for (const paddedLength of [undefined, 40]) {
          const values = thresholds.slice(0, layers.length);
          const dropping: ModelSpec = { ...spec, tokenPruning: { rule: 'threshold', values, paddedLength } };
          const expected = droppingLogits(dropping, weights, batch);
          using model = await Model.create(Engine.open(), dropping, weights, 'inference');
          t.ok(relativeError(await model.forward(batch), expected) < tolerances.f32, 'the engine');
          const onnx = await openOnnx(dropping, weights);
          t.ok(relativeError(await onnx.logits(batch, { padding }), expected) < tolerances.f32);
          t.ok(
            relativeError(await onnx.logits(batch, { padding, extra: 20 }), expected) < tolerances.f32,
            'more padding',
          );
          const withHeads = layers.some(({ heads }) => heads > 0);
          t.equal(
            relativeError(unpruned, expected) > 10 * agreement,
            withHeads,
            'some are dropped where there are heads',
          );
          await onnx.release();
        }
      });
    }
  }
}

t.test('token keep rates are refused', async (t) => {
  const spec = tinySpec('bert', 'sequence', [full, full]);
  const dropping: ModelSpec = { ...spec, tokenPruning: { rule: 'keepRate', values: [0.9, 0.5] } };
  t.throws(() => encoderOnnx(dropping, randomWeights(spec), '1.2.3'), {
    name: 'EspalierError',
    code: 'ERR_UNSUPPORTED',
    message: /keep rates cannot be exported to ONNX/,
  });
});

t.test("inputs and outputs are those of transformers' exporters", async (t) => {
  const names = async (family: string, head: keyof typeof heads) => {
    const spec = tinySpec(family, head, [full]);
    const onnx = await openOnnx(spec, randomWeights(spec));
    const { inputs, outputs } = onnx;
    await onnx.release();
    return { inputs, outputs };
  };
  const inputs = ['input_ids', 'attention_mask'];
  t.strictSame(await names('bert', 'sequence'), { inputs: [...inputs, 'token_type_ids'], outputs: ['logits'] });
  t.strictSame(await names('roberta', 'sequence'), { inputs, outputs: ['logits'] });
  t.strictSame(await names('distilbert', 'span'), { inputs, outputs: ['start_logits', 'end_logits'] });
});

t.test('sentiment-mini, up to its longest input', async (t) => {
  const { spec, weights } = await readCheckpoint(sentimentMini);
  using model = await Model.create(Engine.open(), spec, weights, 'inference');
  const onnx = await openOnnx(spec, weights);
  const batch = randomBatch(spec, [1, 20, spec.maxPositions]);
  t.ok(relativeError(await onnx.logits(batch), await model.forward(batch)) < agreement);
  await onnx.release();
});

for (const dtype of ['f16', 'bf16'] as const) {
  t.test(`${dtype} weights stay ${dtype} in the file`, async (t) => {
    const { sequences, cases } = readGolden('gelu.json');
    using model = await openModel('gelu');
    const sizes: number[] = [];
    for (const type of ['f32', dtype] as const) {
      sizes.push(Buffer.concat(encoderOnnx(model.spec, await storedWeights(model, type), '1.2.3')).length);
    }
    t.ok((sizes[1] as number) < 0.6 * (sizes[0] as number));
    const onnx = await openOnnx(model.spec, await storedWeights(model, dtype));
    const actual = await onnx.logits(packSequences(sequences));
    t.ok(relativeError(actual, (cases[0]?.logits ?? []).flat()) < tolerances[dtype]);
    await onnx.release();
  });
}

t.test('a model too large for the format is refused', async (t) => {
  const { spec, weights } = await goldenCheckpoint('relu');
  weights.set('pooler.weight', { dtype: 'f32', shape: [2 ** 14, 2 ** 15], data: new Uint8Array(2 ** 31) });
  t.throws(() => encoderOnnx(spec, weights, '1.2.3'), {
    name: 'EspalierError',
    code: 'ERR_UNSUPPORTED',
    message: /2 GiB/,
  });
});
