import type { Mask } from '../native/addon.js';
import { macsOf, type UnitMacs } from './macs.js';
import type { UnitValues } from './units.js';

/**
 * Step 2, mask search under MACs (Kwon et al. 2022, section 4.1): heads and neurons are ranked over all layers, every
 * number of heads is filled up with neurons, and the pair that keeps the most importance wins.
 *
 * The result never costs more than `keep` of all units' MACs, and at least that less one neuron's unless every neuron is
 * kept. Equal importance goes to the lower index, equal sums to more heads.
 */
export function searchUnderMacs(importance: UnitValues, macs: UnitMacs, keep: number): Mask {
  const heads = ranking(importance.heads);
  const neurons = ranking(importance.neurons);
  const budget = keep * macsOf(macs, heads.length, neurons.length);
  const headSums = runningSums(importance.heads, heads);
  const neuronSums = runningSums(importance.neurons, neurons);
  let best = { importance: Number.NEGATIVE_INFINITY, heads: 0, neurons: 0 };
  for (let count = 0; count <= heads.length && macsOf(macs, count, 0) <= budget; count++) {
    const filled = neuronsWithin(budget, macs, count, neurons.length);
    const kept = (headSums[count] as number) + (neuronSums[filled] as number);
    if (kept >= best.importance) best = { importance: kept, heads: count, neurons: filled };
  }
  return {
    heads: maskOf(heads.slice(0, best.heads), heads.length),
    neurons: maskOf(neurons.slice(0, best.neurons), neurons.length),
  };
}

/** The most neurons that fit beside `heads` heads. */
function neuronsWithin(budget: number, macs: UnitMacs, heads: number, available: number): number {
  let count = Math.min(available, Math.ceil((budget - macsOf(macs, heads, 0)) / macs.neuron));
  while (macsOf(macs, heads, count) > budget) count--;
  return count;
}

/** Indices from the most important to the least; equal ones in index order. */
function ranking(importance: Float64Array): number[] {
  return Array.from(importance.keys()).sort((a, b) => (importance[b] as number) - (importance[a] as number));
}

/** Sums of the first 0, 1, 2, ... ranked values. */
function runningSums(values: Float64Array, order: readonly number[]): Float64Array {
  const sums = new Float64Array(order.length + 1);
  for (const [rank, index] of order.entries()) sums[rank + 1] = (sums[rank] as number) + (values[index] as number);
  return sums;
}

function maskOf(kept: readonly number[], length: number): Float32Array {
  const mask = new Float32Array(length);
  for (const index of kept) mask[index] = 1;
  return mask;
}
