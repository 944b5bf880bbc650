import { quoteSome } from '../quote.js';
import { accuracy, argmax, f1 } from './metrics.js';
import type { Columns, Task } from './task.js';

export interface ClassificationDefinition {
  kind: 'classification';
  columns: Columns;
  /** Official names; an index in an official data file counts in this order. */
  labels?: string[];
  /** Index of the label whose f1 is reported too. */
  positive?: number;
  maxLength: number;
  averageLength?: number;
}

/** A task whose model answers with one logit a label. `modelLabels` are config.json's names, where there is a model. */
export function classificationTask(
  name: string,
  { labels: official, positive, ...definition }: ClassificationDefinition,
  modelLabels: string[] | undefined,
): Task {
  const labels = chooseLabels(official, modelLabels);
  const readLabel = labels ? labelReader(labels, official) : readIndex;
  const positiveLabel = positive === undefined ? undefined : readLabel(positive);
  return {
    name,
    ...definition,
    labels,
    loss: 'crossEntropy',
    readLabel,
    allowedLabels: describe(labels),
    metrics: (logits, gold, classes) => {
      const predictions = argmax(logits, classes);
      const scores = { accuracy: accuracy(predictions, gold) };
      return positiveLabel === undefined ? scores : { ...scores, f1: f1(predictions, gold, positiveLabel) };
    },
  };
}

/** Names the model was given on purpose win; LABEL_n is what transformers writes when nobody chose. */
function chooseLabels(official: string[] | undefined, model: string[] | undefined): string[] | undefined {
  const chosen = model?.some((label) => !/^LABEL_\d+$/.test(label)) && model.length === (official ?? model).length;
  return chosen ? model : (official ?? model);
}

/**
 * Reads a label by its name, in any case where that is unambiguous, or by its index. An index counts in the official
 * order as long as the model uses the official names, in whatever order, and in the model's order otherwise.
 */
function labelReader(labels: string[], official: string[] | undefined): Task['readLabel'] {
  const foldable = new Set(labels.map((label) => label.toLowerCase())).size === labels.length;
  const fold = (label: string) => (foldable ? label.toLowerCase() : label);
  const indices = new Map(labels.map((label, index) => [fold(label), index]));
  const order = official?.every((label) => indices.has(fold(label))) ? official : labels;
  const numeric = labels.some(isIndex);
  return (value) => {
    const named = indices.get(fold(String(value).trim()));
    if (named !== undefined || numeric) return named;
    const label = order[readIndex(value) ?? -1];
    return label === undefined ? undefined : indices.get(fold(label));
  };
}

/** Names that are numbers leave no room for indices. */
function describe(labels: string[] | undefined): string {
  if (!labels) return '0, 1, ...';
  return labels.some(isIndex) ? quoteSome(labels) : `${quoteSome(labels)} or 0 to ${labels.length - 1}`;
}

const isIndex = (label: string) => readIndex(label) !== undefined;

function readIndex(value: string | number): number | undefined {
  const text = String(value).trim();
  return /^\d{1,6}$/.test(text) ? Number(text) : undefined;
}
