import type { DType, Precision } from '../native/addon.js';
import type { Environment } from '../native/environment.js';
import type { Preset } from '../prune/preset.js';
import type { Reading } from '../tasks/task.js';
import type { Constraint, MeasuredLatency, PruneReport } from './prune-report.js';

/** What several pruning runs from one study did: `espalier sweep --json` prints it, sweep.json keeps it. */
export interface SweepReport {
  command: 'sweep';
  version: string;
  settings: SweepSettings;
  device: string;
  threads: number;
  precision: Precision;
  environment: Environment;
  /** The largest budget first. */
  budgets: SweepBudget[];
}

/** What has to be the same for a sweep to go on with what is there. */
export interface SweepSettings extends Reading {
  checkpoint: string;
  task: string;
  train: string;
  eval?: string | undefined;
  preset: Preset;
  constraint: Constraint;
  profile?: string | undefined;
  samples: number;
  seed: number;
  batch?: number | undefined;
  dtype?: DType | undefined;
  precision: Precision;
}

export interface SweepBudget {
  keep: number;
  /** Of the smaller checkpoint, in the sweep's directory. */
  directory: string;
  report: PruneReport;
  /** Once it is measured. */
  latency?: MeasuredLatency;
}
