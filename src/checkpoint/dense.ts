import type { TensorData } from '../native/addon.js';
import type { Checkpoint } from './checkpoint.js';
import { byteLength, storedDTypes } from './dtypes.js';
import { weightShapes } from './roles.js';

/**
 * The checkpoint in the shapes that it had before it was pruned, zeros after the units that are left: what any reader
 * of the family loads, with the same logits. A head of zeros attends to values of zero, a neuron of zeros gives
 * activation(0) = 0, and the output projections do not read either. Other readers cannot drop tokens: where the
 * checkpoint does, its dense copy does not, and its logits are those of all tokens going on.
 */
export function denseCheckpoint(checkpoint: Checkpoint): Checkpoint {
  const { espalier: _, ...config } = checkpoint.config;
  const { tokenPruning: __, ...everyToken } = checkpoint.spec;
  const spec = { ...everyToken, layers: everyToken.layers.map(() => ({ ...checkpoint.fullLayer })) };
  const weights = new Map<string, TensorData>();
  for (const [role, shape] of weightShapes(spec)) {
    weights.set(role, zeroPadded(checkpoint.weights.get(role) as TensorData, shape));
  }
  return { ...checkpoint, config, spec, weights };
}

/** A vector or matrix in the first places of a larger one. */
function zeroPadded(tensor: TensorData, shape: number[]): TensorData {
  const { dtype, data } = tensor;
  if (tensor.shape.join() === shape.join()) return tensor;
  const rowBytes = (extents: readonly number[]) => byteLength(storedDTypes[dtype], extents.slice(1));
  const [from, to] = [rowBytes(tensor.shape), rowBytes(shape)];
  const padded = new Uint8Array(byteLength(storedDTypes[dtype], shape));
  for (let row = 0; row < (tensor.shape[0] as number); row++) {
    padded.set(data.subarray(row * from, (row + 1) * from), row * to);
  }
  return { dtype, shape, data: padded };
}
