import type { KeptUnits, LossKind } from '../native/addon.js';
import type { CallOptions } from '../native/call.js';
import type { Model } from '../native/model.js';
import type { CostModel } from './cost.js';
import type { Calibration } from './fisher.js';
import type { MacsKept } from './macs.js';
import type { StepListeners } from './steps.js';

/** `espalier`: this package's own method; `kwon`: the one of Kwon et al. 2022, step by step. */
export type Preset = 'espalier' | 'kwon';
export const presets = ['espalier', 'kwon'] as const satisfies Preset[];

/** What a model is pruned on; only the preset kwon needs labels. */
export type Samples = Pick<Calibration, 'batch'> & Partial<Calibration>;

export interface PruneModelOptions extends CallOptions, StepListeners {
  preset: Preset;
  /** The part of the model's cost to keep, above 0 and at most 1. */
  keep: number;
  /** What that cost is; multiply-accumulates by default. */
  costs?: CostModel | undefined;
  loss: LossKind;
  /** Samples of a mini-batch, whose size is part of the preset kwon: 32 for GLUE. */
  batchSize: number;
  /** Average tokens of a sequence, for the multiply-accumulates. */
  sequenceLength: number;
  /** Of what the preset espalier draws beside the samples. */
  seed: number;
}

export interface PruneOutcome {
  /** Compacted, with its weights made up for what is gone, open for inference. Its owner disposes it. */
  model: Model;
  /** The units of the given model that are left. */
  kept: KeptUnits;
  macs: MacsKept;
  /** What the user should know, one sentence each. */
  warnings: string[];
  /** Of each step of the preset, without onStage. */
  seconds: Record<string, number>;
}

/** Prunes the model that was studied to one budget, as `keep` of the options. */
export type PruneTo<Outcome extends PruneOutcome = PruneOutcome> = (
  keep: number,
  listeners: CallOptions & StepListeners,
) => Promise<Outcome>;
