import type { Example } from '../data/examples.js';
import { compact } from '../prune/compact.js';
import { fullMask } from '../prune/units.js';
import type { TrainReport } from '../report/train-report.js';
import { drawUnlabelled } from '../tasks/calibration.js';
import { resolveTask } from '../tasks/task.js';
import { calibrateThresholds } from '../tokens/calibrate.js';
import { checkMacs, savingsOn } from '../tokens/fit-to-macs.js';
import { version } from '../version.js';
import { type DataOptions, EvaluationBatches, examplesFrom, lengthLimit, type WorkOptions } from './evaluate.js';
import type { LoadedModel } from './model.js';
import { asStored, ModelResult } from './model-result.js';
import type { TrainResult } from './training-run.js';

export interface CalibrateTokensOptions extends DataOptions, WorkOptions {
  /** The part of the multiply-accumulates to keep, above 0 and at most 1, as the drawn texts count them. */
  macs: number;
  /** File or examples to calibrate on; labels are not looked at. */
  train: string | readonly Example[];
  /** Labelled file or examples to compare the model on before and after. */
  eval?: string | readonly Example[] | undefined;
  /** Texts to draw; 256 by default. */
  samples?: number | undefined;
  /** Of the draw; 0 by default. */
  seed?: number | undefined;
}

/**
 * Finds thresholds below which a model can do without tokens, without training it: a few minutes, and a few hundred texts
 * of its task. The weights stay as they are; the new model drops tokens wherever it runs.
 *
 * @throws EspalierError ERR_TARGET where `macs` cannot be reached, ERR_TASK, ERR_DATA, ERR_NON_FINITE, ERR_CANCELLED
 */
export async function calibrateTokens(model: LoadedModel, options: CalibrateTokensOptions): Promise<TrainResult> {
  const start = performance.now();
  const { macs, samples = 256, seed = 0, signal, onProgress } = options;
  checkMacs(macs);
  const { native, checkpoint } = model;
  const task = resolveTask(checkpoint, options.task);
  const evaluated = options.eval === undefined ? undefined : await examplesFrom(options.eval, task, options);
  const batches = evaluated && (await EvaluationBatches.pack(model, task, evaluated, options));
  const texts = await examplesFrom(options.train, task, { ...options, labels: false });
  const draw = { maxLength: lengthLimit(model, task, options.maxLength), samples, seed, signal };
  const batch = await drawUnlabelled(texts, task, model.tokenizer, draw, 'none');

  const dense = (await batches?.evaluate(native, 'evaluate before', options))?.evaluation;
  const searchStart = performance.now();
  const tokenPruning = await calibrateThresholds(native, batch, {
    loss: task.loss,
    macs,
    signal,
    onProgress,
  });
  const searchSeconds = (performance.now() - searchStart) / 1000;

  const copy = await compact(native, fullMask(native.spec.layers), 'inference');
  const thrifty = await asStored(model, copy, task, { tokenPruning });
  const after = (await batches?.evaluate(thrifty.native, 'evaluate after', options))?.evaluation;
  const dropping = after?.dropping ?? (await savingsOn(thrifty.native, batch, tokenPruning, signal));
  const report: TrainReport = {
    command: 'tokens calibrate',
    version,
    task: task.name,
    seed,
    device: model.device,
    threads: model.threads,
    precision: model.precision,
    method: 'calibrated',
    recipes: {},
    epochs: [],
    ...(dense && after && { dense: dense.metrics, trained: after.metrics }),
    tokenPruning,
    dropping,
    seconds: {
      load: model.loadSeconds,
      train: searchSeconds,
      evaluate: (dense?.seconds ?? 0) + (after?.seconds ?? 0),
      write: 0,
      total: model.loadSeconds + (performance.now() - start) / 1000,
    },
  };
  return new ModelResult(thrifty, report, 'training.json');
}
