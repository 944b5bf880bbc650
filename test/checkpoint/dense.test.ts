import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { storedWeights } from '../../src/api/stored-weights.js';
import { type Checkpoint, readCheckpoint, writeCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { denseCheckpoint } from '../../src/checkpoint/dense.js';
import type { DType, KeptUnits } from '../../src/native/addon.js';
import { Engine } from '../../src/native/engine.js';
import { Model } from '../../src/native/model.js';
import {
  type GoldenName,
  goldenCheckpoint,
  goldenModels,
  openModel,
  packSequences,
  readGolden,
  relativeError,
} from '../model/support/golden.js';
import { temporaryDirectory } from '../support/temporary.js';

const directory = temporaryDirectory();

/** Of each layer some units; no heads in the first and no neurons in the second. */
function someUnits({ spec }: Checkpoint): KeptUnits {
  const every = (width: number, step: number) =>
    Array.from({ length: width }, (_, unit) => unit).filter((unit) => unit % step === step - 1);
  return {
    heads: spec.layers.map(({ heads }, layer) => (layer === 0 ? [] : every(heads, 2))),
    neurons: spec.layers.map(({ neurons }, layer) => (layer === 1 ? [] : every(neurons, 3))),
  };
}

async function prunedCheckpoint(name: GoldenName, dtype: DType): Promise<Checkpoint> {
  const source = await goldenCheckpoint(name);
  using model = await openModel(name);
  using small = await model.select(someUnits(source), 'inference');
  const spec = { ...source.spec, layers: small.spec.layers };
  return { ...source, spec, weights: await storedWeights(small, dtype) };
}

async function logits({ spec, weights }: Checkpoint, name: GoldenName): Promise<Float32Array> {
  using model = await Model.create(Engine.open(), spec, weights, 'inference');
  return await model.forward(packSequences(readGolden(`${name}.json`).sequences));
}

for (const name of goldenModels) {
  t.test(`${name}: a pruned checkpoint's dense copy reads back with the same logits`, async (t) => {
    const original = await goldenCheckpoint(name);
    const pruned = await prunedCheckpoint(name, 'f32');
    const [small, dense] = [join(directory, `${name}-small`), join(directory, `${name}-dense`)];
    await writeCheckpoint(pruned, small);
    const reread = await readCheckpoint(small);
    await writeCheckpoint(denseCheckpoint(reread), dense);
    const copy = await readCheckpoint(dense);
    t.strictSame(copy.spec, original.spec, 'it has all units again');
    t.ok(relativeError(await logits(copy, name), await logits(reread, name)) < 1e-6);
    t.ok(relativeError(await logits(copy, name), await logits(original, name)) > 1e-3, 'but is not the original');
    const config = readFileSync(join(dense, 'config.json'), 'utf8');
    t.strictSame(JSON.parse(config), original.config, 'config.json is the original');
    t.notOk(readdirSync(dense).includes('modeling_espalier.py'));
  });
}

for (const dtype of ['f16', 'bf16'] as const) {
  t.test(`zeros of ${dtype} stand beside ${dtype} weights`, async (t) => {
    const pruned = await prunedCheckpoint('gelu', dtype);
    const copy = denseCheckpoint(pruned);
    t.ok([...copy.weights.values()].every((tensor) => tensor.dtype === dtype));
    t.ok(relativeError(await logits(copy, 'gelu'), await logits(pruned, 'gelu')) < 1e-6);
  });
}

t.test('a checkpoint that was never pruned is its own dense copy', async (t) => {
  const original = await goldenCheckpoint('gelu');
  t.strictSame(denseCheckpoint(original), original);
});
