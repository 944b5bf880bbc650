import { setImmediate } from 'node:timers/promises';
import type { LayerShape, Mask } from '../native/addon.js';
import { throwIfAborted } from '../native/cancel.js';
import type { MiniBatchGradients } from './fisher.js';
import { unitKinds, unitRanges } from './units.js';

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
    // A layer takes a fraction of a second: let the event loop run in between.
    await setImmediate();
    throwIfAborted(signal);
    for (const kind of unitKinds) {
      const { start, end } = ranges[kind][layer] as { start: number; end: number };
      const vectors = gradientVectors(gradients[kind], gradients.batches, start, end);
      const kept = mask[kind].subarray(start, end).reduce((sum, value) => sum + value, 0);
      const masked = new Set(leastHarmful(vectors, end - start - kept));
      for (let unit = start; unit < end; unit++) result[kind][unit] = masked.has(unit - start) ? 0 : 1;
    }
    onLayers?.(layer + 1, layers.length);
  }
  return result;
}

/** Columns start .. end - 1 of [batches, units], one vector over the mini-batches per unit. */
function gradientVectors(gradients: Float32Array, batches: number, start: number, end: number): Float64Array[] {
  const units = gradients.length / batches;
  return Array.from({ length: end - start }, (_, unit) =>
    Float64Array.from({ length: batches }, (_, batch) => gradients[batch * units + start + unit] as number),
  );
}

/**
 * `count` units whose gradients sum to a small vector: starting from the least important ones, every other unit is
 * added in ascending order of importance and the unit whose removal leaves the shortest sum is taken out again.
 */
function leastHarmful(vectors: readonly Float64Array[], count: number): number[] {
  const squares = vectors.map((vector) => dot(vector, vector));
  const order = Array.from(vectors.keys()).sort((a, b) => (squares[a] as number) - (squares[b] as number));
  const masked = order.slice(0, count);
  if (count === 0 || count === vectors.length) return masked;
  const sum = new Float64Array((vectors[0] as Float64Array).length);
  for (const unit of masked) add(1, vectors[unit] as Float64Array, sum);
  for (const candidate of order.slice(count)) {
    masked.push(candidate);
    add(1, vectors[candidate] as Float64Array, sum);
    // |sum - g|^2 = |sum|^2 - 2 sum.g + |g|^2, of which |sum|^2 is common to all.
    const left = masked.map((unit) => (squares[unit] as number) - 2 * dot(sum, vectors[unit] as Float64Array));
    const [removed] = masked.splice(indexOfSmallest(left), 1);
    add(-1, vectors[removed as number] as Float64Array, sum);
  }
  return masked;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** y += alpha * x */
function add(alpha: number, x: Float64Array, y: Float64Array): void {
  for (let i = 0; i < y.length; i++) y[i] = (y[i] as number) + alpha * (x[i] as number);
}

function indexOfSmallest(values: readonly number[]): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) < (values[best] as number)) best = i;
  return best;
}
