import { pearson, spearman } from './metrics.js';
import type { Columns, Task } from './task.js';

export interface RegressionDefinition {
  kind: 'regression';
  columns: Columns;
  maxLength: number;
  averageLength?: number;
}

/** A task whose model answers with one number. */
export function regressionTask(name: string, definition: RegressionDefinition): Task {
  return {
    name,
    ...definition,
    loss: 'meanSquared',
    readLabel,
    allowedLabels: 'a number',
    metrics: (logits, labels) => ({ pearson: pearson(logits, labels), spearman: spearman(logits, labels) }),
  };
}

function readLabel(value: string | number): number | undefined {
  const text = String(value).trim();
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d{1,3})?$/i.test(text) && Number.isFinite(Math.fround(Number(text)))
    ? Number(text)
    : undefined;
}
