import type { ModelSpec, Sublayer } from '../native/addon.js';
import { modelMacs, unitMacs } from './macs.js';

/** What a budget is counted in: multiply-accumulates, or seconds that were measured. */
export interface CostModel {
  /** Of a sub-layer that keeps so many units. */
  of(layer: number, sublayer: Sublayer, units: number): number;
  /** What all sub-layers together may cost so that `keep` of the dense model's cost is left. */
  budget(keep: number): number;
}

/** As Kwon et al. 2022 count: the layers of one sequence of the average length, embeddings and head left out. */
export function macsCost(spec: ModelSpec, sequenceLength: number): CostModel {
  const macs = unitMacs(spec, sequenceLength);
  return {
    of: (_layer, sublayer, units) => units * (sublayer === 'attention' ? macs.head : macs.neuron),
    budget: (keep) => keep * modelMacs(spec, sequenceLength),
  };
}
