import type { LayerShape, Mask } from '../native/addon.js';
import { throwIfAborted } from '../native/cancel.js';
import { shortestSum } from '../native/solver.js';
import type { MiniBatchGradients } from './fisher.js';
import { type UnitRange, unitKinds, unitRanges } from './units.js';

export interface RearrangeOptions {
  signal?: AbortSignal | undefined;
  onLayers?: ((done: number, total: number) => void) | undefined;
}

/**
 * Step 4, mask rearrangement (Kwon et al. 2022, section 4.2): inside each layer the masked units are exchanged so that
 * the block-diagonal Fisher estimate of the damage falls. Numbers of units stay as searched.
 */
export async function rearrange(
  mask: Mask,
  gradients: MiniBatchGradients,
  layers: readonly LayerShape[],
  { signal, onLayers }: RearrangeOptions = {},
): Promise<Mask> {
  const result: Mask = { heads: mask.heads.slice(), neurons: mask.neurons.slice() };
  const ranges = { heads: unitRanges(layers, 'heads'), neurons: unitRanges(layers, 'neurons') };
  for (const layer of layers.keys()) {
    throwIfAborted(signal);
    for (const kind of unitKinds) {
      const range = ranges[kind][layer] as UnitRange;
      const units = result[kind].subarray(range.start, range.end);
      const kept = units.reduce((sum, value) => sum + value, 0);
      const masked = await shortestSum(gradients[kind], gradients.batches, range, units.length - kept);
      units.fill(1);
      for (const unit of masked) units[unit] = 0;
    }
    onLayers?.(layer + 1, layers.length);
  }
  return result;
}
