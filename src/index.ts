/** The public API of espalier; docs/guide.md shows it at work. */
export { type BenchOptions, bench, type OtherRuntime } from './api/bench.js';
export { type CalibrateTokensOptions, calibrateTokens } from './api/calibrate-tokens.js';
export {
  type DataOptions,
  type EvaluateOptions,
  type Evaluation,
  evaluate,
  type WorkOptions,
} from './api/evaluate.js';
export { type Exported, type ExportOptions, exportDense, exportOnnx } from './api/export.js';
export { type LoadedModel, type LoadOptions, loadModel } from './api/model.js';
export type { ModelResult, SaveOptions } from './api/model-result.js';
export { type InputPrediction, type PredictInput, type PredictOptions, predict } from './api/predict.js';
export { type ProfileOptions, profile } from './api/profile.js';
export { type PruneOptions, prune } from './api/prune.js';
export type { PruneResult } from './api/prune-study.js';
export { type PageOptions, writeReportPage } from './api/report-page.js';
export { type SweepOptions, sweep } from './api/sweep.js';
export { type TokensSweepOptions, tokensSweep } from './api/tokens-sweep.js';
export { type TrainOptions, train } from './api/train.js';
export { type TrainTokensOptions, trainTokens } from './api/train-tokens.js';
export type { TrainingOptions, TrainResult } from './api/training-run.js';
export type { Example, GoldAnswer, Label } from './data/examples.js';
export type { DataFormat } from './data/rows.js';
export type { LatencyProfile } from './latency/latency-profile.js';
export type { Latency, Spread } from './latency/rounds.js';
export type { DeviceReport, DType, LayerShape, ModelSpec, TokenPruning } from './native/addon.js';
export { devices } from './native/engine.js';
export { type ErrorCode, EspalierError } from './native/errors.js';
export type { OnProgress, ProgressEvent } from './progress.js';
export type { Preset } from './prune/preset.js';
export type { BenchReport, BenchRow, Speed } from './report/bench-report.js';
export type { Constraint, MeasuredLatency, Metrics, PruneReport } from './report/prune-report.js';
export type { SweepBudget, SweepReport, SweepSettings } from './report/sweep-report.js';
export type { FinishedTokensRun, TokensRun, TokensSweepReport, TokensSweepSettings } from './report/tokens-report.js';
export type { EpochReport, TrainReport } from './report/train-report.js';
export { type Prediction, taskNames } from './tasks/task.js';
export type { Reconstruction } from './tokens/reconstruct-dropping.js';
export type { TokenSavings } from './tokens/token-counts.js';
export type { Recipe } from './training/recipe.js';
