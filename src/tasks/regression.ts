import { pearson, spearman } from './metrics.js';
import { labelText, oneSequence, submissionLines } from './one-sequence.js';
import type { Task, TaskSettings } from './task.js';

export interface RegressionDefinition extends TaskSettings {
  kind: 'regression';
  /** Lowest and highest label: predictions beyond are submitted as these. */
  range?: [lowest: number, highest: number];
}

/** What a regression model says. */
export interface ValuePrediction {
  value: number;
}

/** A task whose model answers with one number. */
export function regressionTask(
  name: string,
  { range, ...definition }: RegressionDefinition,
): Task<number, ValuePrediction> {
  return {
    name,
    ...definition,
    ...oneSequence,
    loss: 'meanSquared',
    readLabel,
    isLabel: (label) => Number.isFinite(label),
    allowedLabels: 'a number',
    predict: (_, [logits]) => ({ value: logits?.[0] as number }),
    metrics: (predictions, labels) => {
      const values = predictions.map(({ value }) => value);
      return { pearson: pearson(values, labels), spearman: spearman(values, labels) };
    },
    submission: (predictions) =>
      submissionLines(
        predictions.map(({ value }) => (range ? Math.min(Math.max(value, range[0]), range[1]).toFixed(3) : value)),
      ),
  };
}

function readLabel(value: unknown): number | undefined {
  const text = labelText(value);
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d{1,3})?$/i.test(text) && Number.isFinite(Math.fround(Number(text)))
    ? Number(text)
    : undefined;
}
