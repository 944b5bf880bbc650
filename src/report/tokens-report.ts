import type { DType, Precision } from '../native/addon.js';
import type { Environment } from '../native/environment.js';
import type { MethodOptions, SweepMethod } from '../tokens/methods.js';
import type { MeasuredLatency } from './prune-report.js';
import type { TrainReport } from './train-report.js';
import type { DataIdentity, TeacherIdentity, WorkSettings } from './work-settings.js';

/** What several ways to drop tokens came to: `espalier tokens sweep --json` prints it, tokens.json keeps it. */
export interface TokensSweepReport {
  command: 'tokens sweep';
  version: string;
  settings: TokensSweepSettings;
  device: string;
  threads: number;
  precision: Precision;
  environment: Environment;
  /** The largest budget first, its methods side by side; then those without a budget. */
  runs: FinishedTokensRun[];
}

/** What has to be the same for a sweep to go on with what is there. */
export interface TokensSweepSettings extends MethodOptions, WorkSettings {
  eval: DataIdentity;
  newHead: boolean;
  teacher?: TeacherIdentity | undefined;
  dtype?: DType | undefined;
}

/** One checkpoint of a sweep: made to leave a part of the multiply-accumulates, or with a `lambda` of its own. */
export interface TokensRun {
  name: string;
  method: SweepMethod;
  macs?: number;
  lambda?: number;
}

export interface FinishedTokensRun extends TokensRun {
  /** Of the checkpoint, in the sweep's directory. */
  directory: string;
  report: TrainReport;
  /** Of the evaluation data's sequences, once it is measured. */
  latency?: MeasuredLatency;
}
