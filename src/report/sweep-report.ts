import type { LatencyProfile } from '../latency/latency-profile.js';
import type { DType, Precision } from '../native/addon.js';
import type { Environment } from '../native/environment.js';
import type { Preset } from '../prune/preset.js';
import type { Constraint, MeasuredLatency, PruneReport } from './prune-report.js';
import type { DataIdentity, WorkSettings } from './work-settings.js';

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
export interface SweepSettings extends WorkSettings {
  eval?: DataIdentity | undefined;
  preset: Preset;
  constraint: Constraint;
  /** What was measured, where latency is the constraint and it was given. */
  profile?: LatencyProfile | undefined;
  samples: number;
  seed: number;
  batch?: number | undefined;
  dtype?: DType | undefined;
}

export interface SweepBudget {
  keep: number;
  /** Of the smaller checkpoint, in the sweep's directory. */
  directory: string;
  report: PruneReport;
  /** Once it is measured. */
  latency?: MeasuredLatency;
}
