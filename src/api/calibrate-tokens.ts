import type { Example } from '../data/examples.js';
import type { DType, PackedBatch } from '../native/addon.js';
import { copyOf } from '../prune/compact.js';
import { holdOut } from '../prune/sequences.js';
import { deviceMemory } from '../report/device-memory.js';
import type { TrainReport } from '../report/train-report.js';
import { drawUnlabelled } from '../tasks/calibration.js';
import { resolveTask } from '../tasks/task.js';
import { calibrateThresholds } from '../tokens/calibrate.js';
import { checkMacs, savingsOn } from '../tokens/fit-to-macs.js';
import { type DroppingModel, reconstructDropping } from '../tokens/reconstruct-dropping.js';
import { version } from '../version.js';
import { type DataOptions, EvaluationBatches, examplesFrom, lengthLimit, type WorkOptions } from './evaluate.js';
import type { LoadedModel } from './model.js';
import { asStored, ModelResult } from './model-result.js';
import type { TrainResult } from './training-run.js';
import { workSettings } from './work-settings.js';

export interface CalibrateTokensOptions extends DataOptions, WorkOptions {
  /** The part of the multiply-accumulates to keep, above 0 and at most 1, as the drawn texts count them. */
  macs: number;
  /** File or examples to calibrate on; labels are not looked at. */
  train: string | readonly Example[];
  /** Labelled file or examples to compare the model on before and after. */
  eval?: string | readonly Example[] | undefined;
  /** Texts to calibrate on; 256 by default. As many are drawn besides, to judge new weights on. */
  samples?: number | undefined;
  /** What importance is a mean over; 0, the default: each text's own length. */
  paddedLength?: number | undefined;
  /** Solve for output projections that make up for the dropped tokens; true by default. */
  reconstruct?: boolean | undefined;
  /** Of the draw; 0 by default. */
  seed?: number | undefined;
  /** Of the weights; by default the source's. */
  dtype?: DType | undefined;
}

/**
 * Finds thresholds below which a model can do without tokens, without training it: a few minutes, and a few hundred texts
 * of its task. Then output projections are solved anew, where that brings the predictions of further texts nearer to
 * what they were. The new model drops tokens wherever it runs.
 *
 * @throws EspalierError ERR_TARGET where `macs` cannot be reached, ERR_TASK, ERR_DATA, ERR_NON_FINITE, ERR_CANCELLED
 */
export async function calibrateTokens(model: LoadedModel, options: CalibrateTokensOptions): Promise<TrainResult> {
  const start = performance.now();
  const { macs, samples = 256, seed = 0, paddedLength = 0, reconstruct = true, signal, onProgress } = options;
  checkMacs(macs);
  const { native, checkpoint } = model;
  const task = resolveTask(checkpoint, options.task);
  const evaluated = options.eval === undefined ? undefined : await examplesFrom(options.eval, task, options);
  const batches = evaluated && (await EvaluationBatches.pack(model, task, evaluated, options));
  const texts = await examplesFrom(options.train, task, { ...options, labels: false });
  const maxLength = lengthLimit(model, task, options.maxLength);
  const draw = { maxLength, samples: reconstruct ? 2 * samples : samples, seed, signal };
  const drawn = await drawUnlabelled(texts, task, model.tokenizer, draw, 'none');
  const [batch, heldOut] = (reconstruct ? holdOut(drawn, 2) : [drawn]) as [PackedBatch, PackedBatch?];

  const dense = (await batches?.evaluate(native, 'evaluate before', options))?.evaluation;
  const searchStart = performance.now();
  const calibration = { loss: task.loss, macs, paddedLength, signal, onProgress };
  const found = await calibrateThresholds(native, batch, calibration);
  const made: DroppingModel = heldOut
    ? await reconstructDropping(native, found, batch, heldOut, calibration)
    : { model: await copyOf(native, 'inference'), pruning: found };
  const searchSeconds = (performance.now() - searchStart) / 1000;

  const { pruning: tokenPruning, reconstruction } = made;
  const thrifty = await asStored(model, made.model, task, { dtype: options.dtype, tokenPruning });
  const after = (await batches?.evaluate(thrifty.native, 'evaluate after', options))?.evaluation;
  const dropping = after?.dropping ?? (await savingsOn(thrifty.native, batch, tokenPruning, signal));
  const report: TrainReport = {
    command: 'tokens calibrate',
    version,
    task: task.name,
    seed,
    settings: { ...(await workSettings(model, task, options, texts)), macs, samples, paddedLength, reconstruct },
    device: model.device,
    threads: model.threads,
    precision: model.precision,
    method: 'calibrated',
    recipes: {},
    epochs: [],
    ...(dense && after && { dense: dense.metrics, trained: after.metrics }),
    tokenPruning,
    ...(reconstruction && { reconstruction }),
    dropping,
    seconds: {
      load: model.loadSeconds,
      train: searchSeconds,
      evaluate: (dense?.seconds ?? 0) + (after?.seconds ?? 0),
      write: 0,
      total: model.loadSeconds + (performance.now() - start) / 1000,
    },
    ...deviceMemory(native.engine),
  };
  return new ModelResult(thrifty, report, 'training.json');
}
