import type { Precision, TokenPruning } from '../native/addon.js';
import type { Reconstruction } from '../tokens/reconstruct-dropping.js';
import type { TokenSavings } from '../tokens/token-counts.js';
import type { Recipe } from '../training/recipe.js';
import type { DeviceMemory } from './device-memory.js';
import type { Metrics } from './prune-report.js';

/**
 * What a training did, or the calibration of token thresholds: `espalier train --json` prints it, and training.json keeps
 * it beside the weights.
 */
export interface TrainReport extends DeviceMemory {
  command: 'train' | 'tokens train' | 'tokens calibrate';
  version: string;
  task: string;
  seed: number;
  /** All that decides about the result. */
  settings: object;
  device: string;
  threads: number;
  precision: Precision;
  /** Of the token pruning. */
  method?: string;
  /** By stage. */
  recipes: Record<string, Recipe>;
  epochs: EpochReport[];
  /** Where there was evaluation data: before, and after. */
  dense?: Metrics;
  trained?: Metrics;
  tokenPruning?: TokenPruning;
  /** Beside calibrated thresholds, unless it was not wanted or there were too few texts. */
  reconstruction?: Reconstruction;
  /** On the evaluation data, or else on some of the training data. */
  dropping?: TokenSavings;
  /** Those of a training that was stopped and resumed count up to what was kept of it. */
  seconds: { load: number; train: number; evaluate: number; write: number; total: number };
  output?: string;
  /** What the user should know, for example that nearly no token is dropped. */
  warnings?: string[];
}

/** One pass over the training data, and what the model was worth after it. */
export interface EpochReport {
  stage: string;
  /** Counted from 1 within the stage. */
  epoch: number;
  /** The mean over sequences. */
  loss: number;
  tokensPerSecond: number;
  /** Where there was evaluation data. */
  metrics?: Metrics;
  /** Where tokens are dropped. */
  dropping?: TokenSavings;
  thresholds?: number[];
}
