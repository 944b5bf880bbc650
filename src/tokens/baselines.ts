import type { Random } from '../data/random.js';
import type { TokenPruning } from '../native/addon.js';
import { thresholds } from './thresholds.js';

/** A family of prunings, harder with its argument from 0 on. */
export interface PruningFamily {
  at(hardness: number): TokenPruning;
  hardest: number;
}

const mostTokens = 512;
/** No token matters more than all of a sequence's together, which have as much importance as there are of them. */
const highestImportance = (paddedLength: number) => (paddedLength === 0 ? 1 : mostTokens / paddedLength);
/** Rounded up, this leaves a sequence its first token. */
const lowestRate = 1e-6;
/** Part of the layers that SpAtten leaves alone: the first 3 of 12. */
const untouchedLayers = 0.25;

/**
 * Thresholds that rise linearly with the layer (the manual ones of Kim et al. 2021, section 4.3).
 *
 * @param paddedLength what importance is a mean over; 0: the sequence's own length
 */
export function risingThresholds(layers: number, paddedLength: number): PruningFamily {
  const rising = (hardness: number) => Array.from({ length: layers }, (_, layer) => (hardness * layer) / layers);
  return {
    hardest: highestImportance(paddedLength) * layers,
    at: (hardness) => thresholds(rising(hardness), paddedLength),
  };
}

/** The same number of tokens of every sequence of a length: rates that fall linearly after the first layers (SpAtten: Wang et al. 2021). */
export function fallingRates(layers: number): PruningFamily {
  const untouched = Math.floor(untouchedLayers * layers);
  const falling = layers - untouched;
  return {
    hardest: falling,
    at: (hardness) => ({
      rule: 'keepRate',
      values: Array.from({ length: layers }, (_, layer) =>
        Math.max(lowestRate, 1 - (hardness * Math.max(0, layer + 1 - untouched)) / falling),
      ),
    }),
  };
}

/** The same part less with every layer: what length-adaptive models are used with (Kim and Cho 2021). */
export function geometricRates(layers: number): PruningFamily {
  return {
    hardest: 1,
    at: (hardness) => ({
      rule: 'keepRate',
      values: Array.from({ length: layers }, (_, layer) => Math.max(lowestRate, (1 - hardness) ** (layer + 1))),
    }),
  };
}

/** All thresholds times the same factor, h / (1 - h). */
export function multiplesOf({ rule, values, ...rest }: TokenPruning): PruningFamily {
  return {
    hardest: 1 - 1e-8,
    at: (hardness) => ({ rule, values: values.map((value) => (value * hardness) / (1 - hardness)), ...rest }),
  };
}

/** Over all layers together a step of LengthDrop loses at most this part of the tokens (0.2 in each of 12). */
const mostDropped = 1 - 0.8 ** 12;

/** Rates drawn at random for one step of training: every layer loses up to the same part (LengthDrop, Kim and Cho 2021, section 3.1). */
export function randomRates(layers: number, random: Random): TokenPruning {
  const most = 1 - (1 - mostDropped) ** (1 / layers);
  let rate = 1;
  return {
    rule: 'keepRate',
    values: Array.from({ length: layers }, () => {
      rate *= 1 - (most * random.next()) / 2 ** 32;
      return rate;
    }),
  };
}
