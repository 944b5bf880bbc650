import type { CheckpointDescription } from '../checkpoint/checkpoint.js';
import { namedTask, type Prediction, resolveTask, type Task, taskNames } from '../tasks/task.js';
import { TaskBatch } from '../tasks/task-batch.js';
import { type DataOptions, lengthLimit, type WorkOptions } from './evaluate.js';
import type { LoadedModel } from './model.js';

export interface PredictOptions extends Pick<DataOptions, 'task' | 'maxLength'>, WorkOptions {}

/** A text, or two that belong together: of a question answering model, a question and its context. */
export interface PredictInput {
  text: string;
  pair?: string;
}

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
): Promise<Prediction[]> {
  if (inputs.length === 0) return [];
  const task = predictionTask(model.checkpoint, options.task);
  const examples = inputs.map((input) => (typeof input === 'string' ? { text: input } : input));
  const batch = new TaskBatch(task, examples, model.tokenizer, lengthLimit(model, task, options.maxLength));
  const predictions = batch.predictions(await model.native.forward(batch.packed, { signal: options.signal }));
  options.onProgress?.({ stage: 'predict', done: inputs.length, total: inputs.length });
  return predictions;
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
