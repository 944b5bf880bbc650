import type { ModelSpec } from '../native/addon.js';
import { countUnits } from './units.js';

/** Multiply-accumulates of one unit for one sequence. */
export interface UnitMacs {
  head: number;
  neuron: number;
}

/**
 * As Kwon et al. 2022 count them: a head's query, key and value projections, its two attention products and its share of
 * the output projection; a neuron's two products.
 *
 * @param sequenceLength the task's average length in tokens
 */
export function unitMacs(
  { hiddenSize, headSize }: Pick<ModelSpec, 'hiddenSize' | 'headSize'>,
  sequenceLength: number,
): UnitMacs {
  const projection = sequenceLength * hiddenSize * headSize;
  return {
    head: 4 * projection + 2 * sequenceLength ** 2 * headSize,
    neuron: 2 * sequenceLength * hiddenSize,
  };
}

/** Multiply-accumulates of so many units in all. */
export const macsOf = (macs: UnitMacs, heads: number, neurons: number): number =>
  heads * macs.head + neurons * macs.neuron;

/** Multiply-accumulates of a model's layers for one sequence; embeddings and the task's head are left out. */
export function modelMacs(spec: Pick<ModelSpec, 'hiddenSize' | 'headSize' | 'layers'>, sequenceLength: number): number {
  return macsOf(unitMacs(spec, sequenceLength), countUnits(spec.layers, 'heads'), countUnits(spec.layers, 'neurons'));
}

/** Multiply-accumulates of a sequence of average length before and after, and the part that is left. */
export interface MacsKept {
  before: number;
  after: number;
  kept: number;
}

export function macsKept(
  before: Parameters<typeof modelMacs>[0],
  after: Parameters<typeof modelMacs>[0],
  sequenceLength: number,
): MacsKept {
  const [all, left] = [modelMacs(before, sequenceLength), modelMacs(after, sequenceLength)];
  return { before: all, after: left, kept: all === 0 ? 1 : left / all };
}
