import type { Sublayer, TensorData } from '../native/addon.js';

/** The role of the projection that ends a sub-layer, without .weight or .bias. */
export const outputProjection = (layer: number, sublayer: Sublayer): string =>
  `layers.${layer}.${sublayer === 'attention' ? 'attention.output' : 'ffn.out'}`;

/** The roles of the projections of a sub-layer's input. */
export const inputProjections = (layer: number, sublayer: Sublayer): string[] =>
  sublayer === 'attention'
    ? ['query', 'key', 'value'].map((name) => `layers.${layer}.attention.${name}`)
    : [`layers.${layer}.ffn.in`];

/** The values of a tensor of dtype f32. */
export function floats({ data }: TensorData): Float32Array {
  return new Float32Array(data.buffer, data.byteOffset, data.byteLength / Float32Array.BYTES_PER_ELEMENT);
}

/** [size, size] */
export function identity(size: number): Float32Array {
  const matrix = new Float32Array(size * size);
  for (let i = 0; i < size; i++) matrix[i * size + i] = 1;
  return matrix;
}
