import type { CheckpointDescription } from '../checkpoint/checkpoint.js';
import type { Model } from '../native/model.js';
import { namedTask, type Prediction, resolveTask, type Task, taskNames } from '../tasks/task.js';
import { TaskBatch } from '../tasks/task-batch.js';
import { countedForward } from '../tokens/counted-forward.js';
import { type TokenSavings, tokenSavings } from '../tokens/token-counts.js';
import { type DataOptions, lengthLimit, type WorkOptions } from './evaluate.js';
import type { LoadedModel } from './model.js';

export interface PredictOptions extends Pick<DataOptions, 'task' | 'maxLength'>, WorkOptions {}

/** A text, or two that belong together: of a question answering model, a question and its context. */
export interface PredictInput {
  text: string;
  pair?: string;
}

/** What a model says about one input. */
export type InputPrediction = Prediction & {
  /** The part of the multiply-accumulates of the input's tokens that was left, where the model drops some. */
  macs?: number;
};

/**
 * Labels with their probabilities, values of a regression or answers to questions, one an input; all inputs go through
 * the model together.
 *
 * @throws EspalierError ERR_TASK, ERR_DATA for a question without context, ERR_CANCELLED
 */
export async function predict(
  model: LoadedModel,
  inputs: readonly (string | PredictInput)[],
  options: PredictOptions = {},
): Promise<InputPrediction[]> {
  if (inputs.length === 0) return [];
  const task = predictionTask(model.checkpoint, options.task);
  const examples = inputs.map((input) => (typeof input === 'string' ? { text: input } : input));
  const batch = new TaskBatch(task, examples, model.tokenizer, lengthLimit(model, task, options.maxLength));
  const predictions = await run(model.native, batch, options.signal);
  options.onProgress?.({ stage: 'predict', done: inputs.length, total: inputs.length });
  return predictions;
}

async function run(model: Model, batch: TaskBatch, signal: AbortSignal | undefined): Promise<InputPrediction[]> {
  const { logits, counts } = await countedForward(model, batch.packed, { signal });
  const predictions = batch.predictions(logits);
  if (!counts) return predictions;
  const perExample = batch.perExample(counts).map((own) => tokenSavings(model.spec, own));
  return predictions.map((prediction, index) => ({ ...prediction, macs: (perExample[index] as TokenSavings).macs }));
}

const plainTasks: Record<Task['kind'], string> = {
  classification: 'classification',
  regression: 'regression',
  span: 'squad',
};

/** Predicting needs no task to be named; where one is, it has better label names, columns and a length. Throws ERR_TASK. */
export function predictionTask(checkpoint: CheckpointDescription, name: string | undefined): Task {
  const named = name ?? namedTask(checkpoint.config);
  const known = name !== undefined || (named !== undefined && taskNames.includes(named));
  return resolveTask(checkpoint, known ? named : plainTasks[checkpoint.problem]);
}
