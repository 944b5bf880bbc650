import { EvaluationBatches } from '../../src/api/evaluate.js';
import { type LoadedModel, loadModel } from '../../src/api/model.js';
import type { Model } from '../../src/native/model.js';
import { type EspalierPart, measureCurves, pruneOnCurves } from '../../src/prune/espalier.js';
import { miniBatchGradients } from '../../src/prune/fisher.js';
import { pruneOnGradients } from '../../src/prune/kwon.js';
import type { Preset, PruneOutcome } from '../../src/prune/preset.js';
import { drawCalibration, drawUnlabelled } from '../../src/tasks/calibration.js';
import { resolveTask, type Task } from '../../src/tasks/task.js';
import { sharedPath } from '../../test/support/paths.js';
import { developmentExamples, taskFor, trainingExamples } from './shared-checkpoints.js';

/** One checkpoint pruned to several budgets from one sample of its training data. */
export interface AccuracyJob {
  checkpoint: string;
  preset: Preset;
  without: EspalierPart[];
  samples: number;
  seed: number;
  keeps: number[];
  threads: number;
  /** A task whose texts to calibrate on, where it is not the checkpoint's own. */
  texts?: string;
}

/** A line of the results. */
export interface AccuracyRow extends Omit<AccuracyJob, 'keeps' | 'threads'> {
  keep: number;
  macs: number;
  /** What the method is judged by: accuracy, spearman or f1. */
  dense: number;
  pruned: number;
  layers: string;
  /** Of one run alone: what the budgets share counts in each. */
  seconds: number;
  /** Of the whole process so far, bytes. */
  peak: number;
}

/** Calls `onRow` with each budget's result as it is there. */
export async function runAccuracyJob(job: AccuracyJob, onRow: (row: AccuracyRow) => void): Promise<void> {
  const { keeps, threads, ...about } = job;
  const { checkpoint, preset, without, samples, seed } = job;
  await using model = await loadModel(sharedPath('models', checkpoint), { threads });
  const { native, tokenizer } = model;
  const task = taskFor(model, checkpoint);
  const evaluate = await evaluation(model, task);
  const dense = await evaluate(native);

  const start = performance.now();
  const textTask = job.texts === undefined ? task : resolveTask(model.checkpoint, job.texts);
  const train = await trainingExamples(textTask);
  const draw = { maxLength: textTask.maxLength, samples, seed };
  const { loss, averageLength, miniBatch: batchSize } = task;
  const options = { loss, seed, batchSize, sequenceLength: averageLength as number };
  let prune: (keep: number) => Promise<PruneOutcome>;
  if (preset === 'kwon') {
    const calibration = await drawCalibration(train, textTask, tokenizer, draw);
    const gradients = await miniBatchGradients(native, calibration, options);
    prune = (keep) => pruneOnGradients(native, calibration, gradients, { ...options, keep });
  } else {
    const batch = await drawUnlabelled(train, textTask, tokenizer, draw);
    const curves = await measureCurves(native, batch, { ...options, without });
    prune = (keep) => pruneOnCurves(native, batch, curves, { ...options, keep, without });
  }
  const shared = (performance.now() - start) / 1000;

  for (const keep of keeps) {
    const began = performance.now();
    const { model: pruned, macs } = await prune(keep);
    const seconds = shared + (performance.now() - began) / 1000;
    onRow({
      ...about,
      keep,
      macs: macs.kept,
      dense,
      pruned: await evaluate(pruned),
      layers: pruned.spec.layers.map(({ heads, neurons }) => `${heads}/${neurons}`).join(' '),
      seconds,
      peak: 1024 * process.resourceUsage().maxRSS,
    });
    pruned.dispose();
  }
}

/** The task's main metric on its evaluation data, of any model of the checkpoint's. */
async function evaluation(model: LoadedModel, task: Task): Promise<(native: Model) => Promise<number>> {
  const batches = await EvaluationBatches.pack(model, task, await developmentExamples(task), {});
  return async (native) => {
    const { metrics } = (await batches.evaluate(native, 'evaluate', {})).evaluation;
    return metrics.accuracy ?? metrics.spearman ?? (metrics.f1 as number);
  };
}
