import type { Latency, Spread } from '../latency/rounds.js';
import type { LayerShape, Precision } from '../native/addon.js';
import type { Environment } from '../native/environment.js';
import type { Preset } from '../prune/preset.js';
import type { DeviceMemory } from './device-memory.js';

export type Constraint = 'macs' | 'latency';

/** Fractions by the task's official metric names. */
export type Metrics = Record<string, number>;

/** What a pruning run did: `espalier prune --json` prints it, and pruning.json keeps it beside the smaller weights. */
export interface PruneReport extends DeviceMemory {
  command: 'prune';
  version: string;
  task: string;
  preset: Preset;
  seed: number;
  device: string;
  threads: number;
  precision: Precision;
  /** The part of the multiply-accumulates, or of the latency, to keep. */
  constraint: { kind: Constraint; keep: number };
  /**
   * Fractions of what the model had before, and the bytes of the smaller weights. The latency is what the profile
   * predicts, where that was the constraint.
   */
  achieved: { macs: number; latency?: number; parameters: number; bytes: number };
  layers: LayerShape[];
  /** Where there was evaluation data. */
  dense?: Metrics;
  pruned?: Metrics;
  /** After each step of the method, where it was asked for. */
  stages?: Record<string, Metrics>;
  /** Where it was asked for. */
  latency?: MeasuredLatency;
  /** pruning.json is written before its own `write` is known: it says 0 there. */
  seconds: PruneSeconds;
  output?: string;
  /** What the user should know, for example a sub-layer whose tuning was left out. */
  warnings?: string[];
}

/** Seconds of one batch with the lengths of the task's texts, both models in turns, and how much faster the smaller is. */
export interface MeasuredLatency {
  environment: Environment;
  /** Sequences that are run together, and their tokens. */
  batch: number;
  tokens: number;
  dense: Latency;
  pruned: Latency;
  speedup: Spread;
}

/** `espalier` has the steps gradients, curves, allocate and reconstruct; `kwon` gradients, search, rearrange and tune. */
export interface PruneSeconds {
  load: number;
  [step: string]: number;
  write: number;
  evaluate: number;
  total: number;
}
