import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { weightShapes } from '../../src/checkpoint/roles.js';
import { Random } from '../../src/data/random.js';
import type { ModelSpec, TensorData } from '../../src/native/addon.js';
import { hasShared, sharedPath } from '../../test/support/paths.js';

/** A model that several contenders run. */
export interface BenchModel {
  name: string;
  spec: ModelSpec;
  weights: Map<string, TensorData>;
}

const bertBase = encoderSpec(12, 768, 12);
const miniLm = encoderSpec(6, 384, 12);

function encoderSpec(layers: number, hiddenSize: number, heads: number): ModelSpec {
  return {
    hiddenSize,
    headSize: hiddenSize / heads,
    vocabularySize: 30522,
    maxPositions: 512,
    tokenTypes: 2,
    layerNormEpsilon: 1e-12,
    activation: 'gelu',
    layers: Array.from({ length: layers }, () => ({ heads, neurons: 4 * hiddenSize })),
    head: 'sequence',
    headActivation: 'tanh',
    positionPadding: -1,
    labels: 2,
  };
}

export const bertBaseModel = (): BenchModel => randomModel('BERT-base size, random weights', bertBase);

/** A shared fine-tuned checkpoint where there is one, else random weights of its shape. */
export async function miniLmModel(task: 'sst2' | 'mrpc'): Promise<BenchModel> {
  if (!hasShared) return randomModel('MiniLM size, random weights', miniLm);
  const { spec, weights } = await readCheckpoint(sharedPath('models', `minilm-${task}`));
  return { name: `MiniLM (minilm-${task})`, spec, weights };
}

/** Uniform weights of the spread that BERT is initialised with; LayerNorms do nothing. */
function randomModel(name: string, spec: ModelSpec): BenchModel {
  const random = new Random(0);
  const weights = new Map<string, TensorData>();
  for (const [role, shape] of weightShapes(spec)) {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    const scale = role.endsWith('norm.weight') ? 0 : 0.07 / 2 ** 32;
    const centre = role.endsWith('norm.weight') ? 1 : -0.035;
    for (let i = 0; i < values.length; i++) values[i] = random.next() * scale + centre;
    weights.set(role, { dtype: 'f32', shape, data: new Uint8Array(values.buffer) });
  }
  return { name, spec, weights };
}
