/** The public API of espalier; docs/guide.md shows it at work. */
export {
  type BenchOptions,
  type BenchReport,
  type BenchRow,
  bench,
  type Latency,
  type OtherRuntime,
  type Speed,
} from './api/bench.js';
export {
  type DataOptions,
  type EvaluateOptions,
  type Evaluation,
  evaluate,
  type WorkOptions,
} from './api/evaluate.js';
export { type Exported, type ExportOptions, exportDense, exportOnnx } from './api/export.js';
export { type LoadedModel, type LoadOptions, loadModel } from './api/model.js';
export { type PredictInput, type PredictOptions, predict } from './api/predict.js';
export { type ProfileOptions, profile } from './api/profile.js';
export { type PruneOptions, type PruneResult, prune, type SaveOptions } from './api/prune.js';
export type { Example, GoldAnswer, Label } from './data/examples.js';
export type { DataFormat } from './data/rows.js';
export type { LatencyProfile } from './latency/latency-profile.js';
export type { DeviceReport, DType, LayerShape, ModelSpec } from './native/addon.js';
export { devices } from './native/engine.js';
export { type ErrorCode, EspalierError } from './native/errors.js';
export type { OnProgress, ProgressEvent } from './progress.js';
export type { Preset } from './prune/preset.js';
export type { Constraint, Metrics, PruneReport } from './report/prune-report.js';
export { type Prediction, taskNames } from './tasks/task.js';
