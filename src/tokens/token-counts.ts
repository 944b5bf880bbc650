import type { ModelSpec, PackedBatch, TracedTokens } from '../native/addon.js';
import { unitMacs } from '../prune/macs.js';

/** How many tokens of a sequence there are: [0] as it came in, [l + 1] in the output of layer l. */
export type TokenCounts = number[];

/** Of each sequence of a batch. */
export function tokenCounts(
  { depths }: Pick<TracedTokens, 'depths'>,
  { offsets }: Pick<PackedBatch, 'offsets'>,
  layers: number,
): TokenCounts[] {
  return Array.from({ length: offsets.length - 1 }, (_, sequence) => {
    const own = depths.subarray(offsets[sequence], offsets[sequence + 1]);
    return Array.from({ length: layers + 1 }, (_, depth) => own.reduce((sum, reached) => sum + +(reached >= depth), 0));
  });
}

type Shape = Pick<ModelSpec, 'hiddenSize' | 'headSize' | 'layers'>;

/**
 * Multiply-accumulates of a sequence's way through the layers as Kim et al. 2021 count them: a layer's attention by the
 * tokens that come in, its FFN by those that go on.
 */
export function sequenceMacs(spec: Shape, counts: TokenCounts): number {
  return spec.layers.reduce((sum, { heads, neurons }, l) => {
    const [before, after] = [counts[l] as number, counts[l + 1] as number];
    return sum + heads * unitMacs(spec, before).head + neurons * unitMacs(spec, after).neuron;
  }, 0);
}

const dense = (counts: TokenCounts): TokenCounts => counts.map(() => counts[0] as number);

/**
 * The part of the multiply-accumulates that is left of sequences of which only the sum of their counts is known, as if
 * all had the mean length.
 */
export function macsOfMeanSequence(spec: Shape, sums: TokenCounts, sequences: number): number {
  const mean = sums.map((sum) => sum / sequences);
  return sequenceMacs(spec, mean) / sequenceMacs(spec, dense(mean));
}

/** What dropping tokens leaves of the work on some sequences, all of them together. */
export interface TokenSavings {
  /** The part of the multiply-accumulates that is left. */
  macs: number;
  /** Of each layer: the part of the tokens that go on. */
  keptPerLayer: number[];
}

export function tokenSavings(spec: Shape, sequences: readonly TokenCounts[]): TokenSavings {
  const sum = (of: (counts: TokenCounts) => number) => sequences.reduce((total, counts) => total + of(counts), 0);
  const tokens = sum((counts) => counts[0] as number);
  return {
    macs: sum((counts) => sequenceMacs(spec, counts)) / sum((counts) => sequenceMacs(spec, dense(counts))),
    keptPerLayer: spec.layers.map((_, l) => sum((counts) => counts[l + 1] as number) / tokens),
  };
}
