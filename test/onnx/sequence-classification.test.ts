import { InferenceSession, Tensor } from 'onnxruntime-node';
import t from 'tap';
import { weightShapes } from '../../src/checkpoint/roles.js';
import type { DType, TensorData } from '../../src/native/addon.js';
import type { Model } from '../../src/native/model.js';
import { sequenceClassificationOnnx } from '../../src/onnx/sequence-classification.js';
import {
  bertClassifiers,
  type Golden,
  goldenCheckpoint,
  openModel,
  packSequences,
  readGolden,
  relativeError,
} from '../model/support/golden.js';

/** Of the largest logit; half-precision weights are compared with the full-precision ones. */
const tolerances: Record<DType, number> = { f32: 5e-6, f16: 5e-3, bf16: 5e-2 };

async function onnxLogits(onnx: Uint8Array, sequences: Golden['sequences']): Promise<Float32Array> {
  const session = await InferenceSession.create(onnx, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  const longest = Math.max(...sequences.map(({ ids }) => ids.length));
  const padded = (values: (sequence: Golden['sequences'][0]) => number[]) => {
    const rows = sequences.flatMap((sequence) => {
      const row = values(sequence);
      return [...row, ...Array(longest - row.length).fill(0)].map(BigInt);
    });
    return new Tensor('int64', BigInt64Array.from(rows), [sequences.length, longest]);
  };
  const outputs = await session.run({
    input_ids: padded(({ ids }) => ids),
    token_type_ids: padded(({ types }) => types),
    attention_mask: padded(({ ids }) => ids.map(() => 1)),
  });
  await session.release();
  return (outputs.logits as Tensor).data as Float32Array;
}

/** Every weight of a model in the shape that checkpoints have. */
async function weightsOf(model: Model, dtype: DType): Promise<Map<string, TensorData>> {
  const weights = new Map<string, TensorData>();
  for (const [role, shape] of weightShapes(model.spec)) {
    weights.set(role, { ...(await model.weight(role, dtype)), shape });
  }
  return weights;
}

for (const name of bertClassifiers) {
  const { sequences, cases } = readGolden(`${name}.json`);
  const expected = (cases[0] as (typeof cases)[0]).logits.flat();

  t.test(`onnxruntime computes PyTorch's logits of ${name}`, async (t) => {
    const { spec, weights } = await goldenCheckpoint(name);
    const onnx = sequenceClassificationOnnx(spec, weights, '1.2.3');
    t.ok(relativeError(await onnxLogits(onnx, sequences), expected) < tolerances.f32);
  });

  t.test(`${name} with layers of different widths, some without units`, async (t) => {
    using model = await openModel(name);
    const { layers } = model.spec;
    const some = (width: number, step: number) =>
      Array.from({ length: width }, (_, unit) => unit).filter((unit) => unit % step === 0);
    using small = await model.select(
      {
        heads: layers.map(({ heads }, layer) => (layer === 0 ? [] : some(heads, 2))),
        neurons: layers.map(({ neurons }, layer) => (layer === 1 ? [] : some(neurons, 3))),
      },
      'inference',
    );
    const onnx = sequenceClassificationOnnx(small.spec, await weightsOf(small, 'f32'), '1.2.3');
    const actual = await onnxLogits(onnx, sequences);
    t.ok(relativeError(actual, await small.forward(packSequences(sequences))) < tolerances.f32);
  });
}

for (const dtype of ['f16', 'bf16'] as const) {
  t.test(`${dtype} weights stay ${dtype} in the file`, async (t) => {
    const { sequences, cases } = readGolden('gelu.json');
    using model = await openModel('gelu');
    const full = sequenceClassificationOnnx(model.spec, await weightsOf(model, 'f32'), '1.2.3');
    const half = sequenceClassificationOnnx(model.spec, await weightsOf(model, dtype), '1.2.3');
    t.ok(half.length < 0.6 * full.length);
    t.ok(relativeError(await onnxLogits(half, sequences), cases[0]?.logits.flat() ?? []) < tolerances[dtype]);
  });
}

t.test('a model too large for the format is refused', async (t) => {
  const { spec, weights } = await goldenCheckpoint('relu');
  weights.set('pooler.weight', { dtype: 'f32', shape: [2 ** 14, 2 ** 15], data: new Uint8Array(2 ** 31) });
  t.throws(() => sequenceClassificationOnnx(spec, weights, '1.2.3'), {
    name: 'EspalierError',
    code: 'ERR_UNSUPPORTED',
    message: /2 GiB/,
  });
});
