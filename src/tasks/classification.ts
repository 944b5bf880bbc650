import { quoteSome } from '../quote.js';
import { accuracy, f1, pearson } from './metrics.js';
import { labelText, oneSequence, submissionLines } from './one-sequence.js';
import type { Task, TaskSettings } from './task.js';

export interface ClassificationDefinition extends TaskSettings {
  kind: 'classification';
  /** Official names; an index in an official data file counts in this order. */
  labels?: string[];
  /** Index of the label whose f1 is reported too. */
  positive?: number;
  /** Matthews' correlation is reported instead of accuracy. */
  matthews?: boolean;
  /** Predictions are submitted as the official labels' indices, not as their names. */
  submitIndices?: boolean;
}

/** What a classification model says. */
export interface ClassPrediction {
  label: string;
  /** Of the label; every label's is in `probabilities`, in the model's order. */
  probability: number;
  probabilities: number[];
}

/** A task whose model answers with one logit a label. `modelLabels` are config.json's names, where there is a model. */
export function classificationTask(
  name: string,
  { labels: official, positive, matthews, submitIndices, ...definition }: ClassificationDefinition,
  modelLabels: string[] | undefined,
): Task<number, ClassPrediction> {
  const labels = chooseLabels(official, modelLabels);
  const order = officialOrder(labels ?? [], official);
  const indicesOf = (predictions: readonly ClassPrediction[]) =>
    predictions.map(({ probabilities }) => indexOfLargest(probabilities));
  const submitted = (index: number) => {
    const position = order.indexOf(index);
    return submitIndices ? position : ((official ?? labels)?.[position] as string);
  };
  return {
    name,
    ...definition,
    ...oneSequence,
    ...(labels && { labels }),
    loss: 'crossEntropy',
    readLabel: labels ? labelReader(labels, order) : readIndex,
    isLabel: (label) =>
      Number.isInteger(label) && Number(label) >= 0 && Number(label) < (labels?.length ?? Number.POSITIVE_INFINITY),
    allowedLabels: describe(labels),
    predict: (_, [logits]) => {
      const probabilities = softmax(logits as Float32Array);
      const index = indexOfLargest(probabilities);
      return { label: labels?.[index] ?? String(index), probability: probabilities[index] as number, probabilities };
    },
    metrics: (predictions, gold): Record<string, number> => {
      const indices = indicesOf(predictions);
      // Of two labels, Matthews' correlation is Pearson's of their indices.
      if (matthews) return { matthews_correlation: pearson(indices, gold) };
      const scores = { accuracy: accuracy(indices, gold) };
      return positive === undefined ? scores : { ...scores, f1: f1(indices, gold, order[positive] as number) };
    },
    submission: (predictions) => submissionLines(indicesOf(predictions).map(submitted)),
  };
}

/** The first of equals. */
const indexOfLargest = (values: readonly number[]): number => values.indexOf(Math.max(...values));

function softmax(logits: Float32Array): number[] {
  const largest = Math.max(...logits);
  const exponentials = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

/** LABEL_n is what transformers writes when nobody chose. */
export const isNamed = (labels: readonly string[]): boolean => labels.some((label) => !/^LABEL_\d+$/.test(label));

/** Names the model was given on purpose win. */
function chooseLabels(official: string[] | undefined, model: string[] | undefined): string[] | undefined {
  const chosen = model && isNamed(model) && model.length === (official ?? model).length;
  return chosen ? model : (official ?? model);
}

/**
 * The model's index of each official label: by name where the model uses the official names, in whatever order, and by
 * position otherwise.
 */
function officialOrder(labels: string[], official: string[] = labels): number[] {
  const find = nameFinder(labels);
  return official.every((label) => find(label) !== undefined)
    ? official.map((label) => find(label) as number)
    : labels.map((_, index) => index);
}

/** Finds a name's index, in any case where that is unambiguous. */
function nameFinder(labels: string[]): (name: string) => number | undefined {
  const foldable = new Set(labels.map((label) => label.toLowerCase())).size === labels.length;
  const fold = (label: string) => (foldable ? label.toLowerCase() : label);
  const indices = new Map(labels.map((label, index) => [fold(label), index]));
  return (name) => indices.get(fold(name));
}

/** Reads a label by its name or by its index in the official order. Names that are numbers leave no room for indices. */
function labelReader(labels: string[], order: number[]): (value: unknown) => number | undefined {
  const find = nameFinder(labels);
  const numeric = labels.some(isIndex);
  return (value) => find(labelText(value)) ?? (numeric ? undefined : order[readIndex(value) ?? -1]);
}

function describe(labels: string[] | undefined): string {
  if (!labels) return '0, 1, ...';
  return labels.some(isIndex) ? quoteSome(labels) : `${quoteSome(labels)} or 0 to ${labels.length - 1}`;
}

const isIndex = (label: string) => readIndex(label) !== undefined;

/** Python writes the whole numbers of a column that lacks some as 1.0. */
function readIndex(value: unknown): number | undefined {
  const text = labelText(value);
  return /^\d{1,6}(\.0+)?$/.test(text) ? Number(text) : undefined;
}
