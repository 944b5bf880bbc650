import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { LoadedModel } from '../../src/api/model.js';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { packSequences } from '../../src/data/pack.js';
import { exportDense, exportOnnx, loadModel, predict, prune } from '../../src/index.js';
import type { TensorData } from '../../src/native/addon.js';
import { Engine } from '../../src/native/engine.js';
import { Model } from '../../src/native/model.js';
import { relativeError } from '../model/support/golden.js';
import { OnnxSession } from '../onnx/support/onnxruntime.js';
import { demoData, sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';

const directory = temporaryDirectory();
const path = (name: string) => join(directory, name);
const texts = ['What a lovely surprise!', 'Awful.', 'It is neither very good nor all that bad, and rather long.'];

/** Of the largest logit. */
const tolerance = 1e-5;

const original = await loadModel(sentimentMini);
const pruned = await prune(original, { task: 'sst2', train: demoData('train'), keep: 0.5, samples: 64 });
await pruned.save(path('pruned'));
const batch = packSequences(texts.map((text) => original.tokenizer.encode(text)));
const expected = await pruned.model.native.forward(batch);

async function onnxLogits(file: string): Promise<Float32Array> {
  const session = await OnnxSession.open(file);
  const logits = await session.logits(batch);
  await session.release();
  return logits;
}

t.test('the ONNX file of a pruned model gives its logits in onnxruntime', async (t) => {
  const written = await exportOnnx(pruned.model, path('pruned.onnx'));
  t.strictSame(written, { path: path('pruned.onnx'), dtype: 'f16', bytes: statSync(path('pruned.onnx')).size });
  t.ok(relativeError(await onnxLogits(written.path), expected) < tolerance);
  await using saved = await loadModel(path('pruned'));
  await exportOnnx(saved, path('saved.onnx'));
  t.ok(readFileSync(path('saved.onnx')).equals(readFileSync(path('pruned.onnx'))), 'from memory as from the disk');
});

t.test('the dense copy gives the same logits and predictions, and so does its ONNX file', async (t) => {
  const written = await exportDense(pruned.model, path('dense'));
  await using dense = await loadModel(path('dense'));
  t.strictSame(written, { path: path('dense'), dtype: 'f16', bytes: written.bytes });
  t.strictSame(dense.checkpoint.spec, original.checkpoint.spec);
  t.strictSame(dense.checkpoint.config, original.checkpoint.config);
  t.ok(relativeError(await dense.native.forward(batch), expected) < tolerance);
  const labels = async (model: LoadedModel) =>
    (await predict(model, texts)).map((answer) => 'label' in answer && answer.label);
  t.strictSame(await labels(dense), await labels(pruned.model));
  await exportOnnx(dense, path('dense.onnx'));
  t.ok(statSync(path('dense.onnx')).size > statSync(path('pruned.onnx')).size);
  t.ok(relativeError(await onnxLogits(path('dense.onnx')), expected) < tolerance);
});

t.test('dtype decides how weights are stored', async (t) => {
  const wide = await exportOnnx(pruned.model, path('wide.onnx'), { dtype: 'f32' });
  t.ok(wide.bytes > 1.9 * statSync(path('pruned.onnx')).size);
  t.ok(relativeError(await onnxLogits(wide.path), expected) < tolerance);
  await exportDense(pruned.model, path('wide'), { dtype: 'f32' });
  const { dtype, config } = await readCheckpoint(path('wide'));
  t.equal(dtype, 'f32');
  t.equal(config.dtype, 'float32');
});

t.test('weights that the dtype cannot hold are refused before anything is written', async (t) => {
  const { weights, ...checkpoint } = await readCheckpoint(sentimentMini);
  const bias: TensorData = { dtype: 'f32', shape: [2], data: new Uint8Array(Float32Array.of(0, 1e6).buffer) };
  weights.set('classifier.bias', bias);
  const native = await Model.create(Engine.open(), checkpoint.spec, weights, 'inference');
  await using large = new LoadedModel(checkpoint, original.tokenizer, native, 0);
  const error = { code: 'ERR_NON_FINITE', message: /classifier.bias" does not fit f16 \(give another --dtype\)/ };
  await t.rejects(exportOnnx(large, path('large.onnx'), { dtype: 'f16' }), error);
  await t.rejects(exportDense(large, path('large'), { dtype: 'f16' }), error);
  t.notOk(existsSync(path('large.onnx')) || existsSync(path('large')));
  await exportOnnx(large, path('large.onnx'), { dtype: 'bf16' });
});

t.test('an existing output is refused, and with force replaced', async (t) => {
  await t.rejects(exportOnnx(pruned.model, path('pruned.onnx')), { code: 'ERR_OUTPUT' });
  await t.rejects(exportDense(pruned.model, path('dense')), { code: 'ERR_OUTPUT' });
  await exportOnnx(pruned.model, path('pruned.onnx'), { force: true, dtype: 'f32' });
  await exportDense(pruned.model, path('dense'), { force: true, dtype: 'f32' });
  t.equal((await readCheckpoint(path('dense'))).dtype, 'f32');
});

t.test('an aborted export leaves nothing', async (t) => {
  const signal = AbortSignal.abort();
  await t.rejects(exportOnnx(pruned.model, path('aborted.onnx'), { signal }), { code: 'ERR_CANCELLED' });
  await t.rejects(exportDense(pruned.model, path('aborted'), { signal }), { code: 'ERR_CANCELLED' });
  t.notOk(existsSync(path('aborted.onnx')) || existsSync(path('aborted')));
});

t.teardown(async () => {
  await pruned.dispose();
  await original.dispose();
});
