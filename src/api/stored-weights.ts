import { weightShapes } from '../checkpoint/roles.js';
import type { DType, TensorData } from '../native/addon.js';
import { throwIfAborted } from '../native/cancel.js';
import type { Model } from '../native/model.js';

/** A model's weights by role, in the dtype and shapes that a checkpoint stores. */
export async function storedWeights(
  model: Model,
  dtype: DType,
  signal?: AbortSignal,
): Promise<Map<string, TensorData>> {
  const weights = new Map<string, TensorData>();
  for (const [role, shape] of weightShapes(model.spec)) {
    throwIfAborted(signal);
    weights.set(role, { ...(await model.weight(role, dtype)), shape });
  }
  return weights;
}
