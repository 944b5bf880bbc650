import type { ModelSpec } from '../../src/native/addon.js';

/** Floating-point operations of products; everything else of an encoder is small beside them. */
export interface Operations {
  /** What the engine has to do. */
  needed: number;
  /** The same without its shortcuts: a last layer of first tokens only, a backward that ends at layer 0's context. */
  nominal: number;
}

interface Sizes {
  tokens: number;
  sequences: number;
  /** Sum of the squared lengths. */
  squares: number;
}

export function sizesOf(offsets: Int32Array): Sizes {
  let squares = 0;
  for (let i = 1; i < offsets.length; i++) squares += ((offsets[i] as number) - (offsets[i - 1] as number)) ** 2;
  return { tokens: offsets.at(-1) as number, sequences: offsets.length - 1, squares };
}

/** Products of one layer's forward: [attention, ffn], nominal or with only first tokens leaving it. */
function layerForward(spec: ModelSpec, layer: number, sizes: Sizes, firstTokens: boolean): [number, number] {
  const { hiddenSize, headSize, layers } = spec;
  const { heads = 0, neurons = 0 } = layers[layer] ?? {};
  const width = heads * headSize;
  const { tokens, sequences } = sizes;
  const rows = firstTokens ? sequences : tokens;
  const pairs = firstTokens ? tokens : sizes.squares;
  const projections = 2 * hiddenSize * width * (2 * tokens + 2 * rows);
  return [projections + 4 * pairs * width, 4 * rows * hiddenSize * neurons];
}

function sumForward(spec: ModelSpec, sizes: Sizes, shortcut: boolean): number {
  const last = spec.layers.length - 1;
  return spec.layers.reduce((sum, _, layer) => {
    const [attention, ffn] = layerForward(spec, layer, sizes, shortcut && layer === last);
    return sum + attention + ffn;
  }, 0);
}

export function forwardOperations(spec: ModelSpec, sizes: Sizes): Operations {
  return { needed: sumForward(spec, sizes, true), nominal: sumForward(spec, sizes, false) };
}

/**
 * Forward, and backward to every sub-layer's input: as many products as the forward for the linear maps, 2.5 times as
 * many in attention. Below layer 0's context nothing is needed.
 */
export function gradientOperations(spec: ModelSpec, sizes: Sizes): Operations {
  const forward = forwardOperations(spec, sizes);
  const { hiddenSize, headSize } = spec;
  const last = spec.layers.length - 1;
  const attention = (layer: number, pairs: number) => 6 * pairs * (spec.layers[layer]?.heads ?? 0) * headSize;
  const extra = (shortcut: boolean) =>
    spec.layers.reduce(
      (sum, _, layer) => sum + attention(layer, shortcut && layer === last ? sizes.tokens : sizes.squares),
      0,
    );
  const firstWidth = (spec.layers[0]?.heads ?? 0) * headSize;
  const belowContext = 6 * sizes.tokens * hiddenSize * firstWidth + 10 * sizes.squares * firstWidth;
  return {
    needed: 2 * forward.needed + extra(true) - belowContext,
    nominal: 2 * forward.nominal + extra(false),
  };
}

/**
 * Teacher and student once through their layers, a Gram matrix and a product with the targets for every system, the
 * square of its matrix and a Cholesky factorisation. The targets hold all of the dense model's neurons.
 */
export function tuningOperations(dense: ModelSpec, teacher: ModelSpec, student: ModelSpec, sizes: Sizes): number {
  const { hiddenSize, headSize } = student;
  const last = student.layers.length - 1;
  const system = (inputs: number, rows: number, unknowns: number) =>
    rows * inputs * (inputs + 1) + 2 * rows * inputs * hiddenSize + unknowns ** 3 * (1 + 1 / 3);
  const systems = student.layers.reduce((sum, { heads, neurons }, layer) => {
    const attention = layer === 0 ? 0 : system(heads * headSize, sizes.tokens, heads + 1);
    return sum + attention + system(neurons, layer === last ? sizes.sequences : sizes.tokens, neurons);
  }, 0);
  const layers = teacher.layers.map(({ heads }, layer) => ({ heads, neurons: dense.layers[layer]?.neurons ?? 0 }));
  const guide = { ...teacher, layers };
  return systems + forwardOperations(guide, sizes).needed + forwardOperations(student, sizes).needed;
}
