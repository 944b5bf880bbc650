import { packExamples } from '../data/pack.js';
import { namedTask, resolveTask, type Task, taskNames } from '../tasks/task.js';
import { type DataOptions, lengthLimit, type WorkOptions } from './evaluate.js';
import type { LoadedModel } from './model.js';

export interface PredictOptions extends Pick<DataOptions, 'task' | 'maxLength'>, WorkOptions {}

/** A text, or two that belong together. */
export interface PredictInput {
  text: string;
  pair?: string;
}

export type Prediction =
  | {
      label: string;
      /** Of the label; every label's is in `probabilities`, in the model's order. */
      probability: number;
      probabilities: number[];
    }
  | {
      /** What a regression model says. */
      value: number;
    };

/**
 * Labels with their probabilities, or values of a regression, one a text; all texts go through the model together.
 *
 * @throws EspalierError ERR_TASK, ERR_CANCELLED
 */
export async function predict(
  model: LoadedModel,
  inputs: readonly (string | PredictInput)[],
  options: PredictOptions = {},
): Promise<Prediction[]> {
  if (inputs.length === 0) return [];
  const { checkpoint, tokenizer } = model;
  const task = predictionTask(model, options.task);
  const examples = inputs.map((input) => (typeof input === 'string' ? { text: input } : input));
  const batch = packExamples(tokenizer, examples, lengthLimit(model, task, options.maxLength));
  const logits = await model.native.forward(batch, { signal: options.signal });
  options.onProgress?.({ stage: 'predict', done: inputs.length, total: inputs.length });
  if (checkpoint.problem === 'regression') return Array.from(logits, (value) => ({ value }));

  const labels = task.labels ?? checkpoint.labels;
  return examples.map((_, row) => {
    const probabilities = softmax(logits.subarray(row * labels.length, (row + 1) * labels.length));
    const probability = Math.max(...probabilities);
    return { label: labels[probabilities.indexOf(probability)] as string, probability, probabilities };
  });
}

/** Predicting needs no task; where there is one it has better label names, a length and columns. Throws ERR_TASK. */
export function predictionTask(
  { checkpoint }: LoadedModel,
  name: string | undefined,
): Pick<Task, 'labels' | 'maxLength' | 'columns'> {
  const named = namedTask(checkpoint.config);
  const known = named !== undefined && taskNames.includes(named) ? named : checkpoint.problem;
  return resolveTask(checkpoint, name ?? known);
}

function softmax(logits: Float32Array): number[] {
  const largest = Math.max(...logits);
  const exponentials = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}
