import type { CheckpointDescription } from '../checkpoint/checkpoint.js';
import type { LossKind } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';
import { type ClassificationDefinition, classificationTask } from './classification.js';
import { glue } from './glue.js';
import { type RegressionDefinition, regressionTask } from './regression.js';

/** Where a data file keeps its texts and its label. */
export interface Columns {
  text: string;
  pair?: string;
  label: string;
}

/** What a model is used for: how its data is read and its answers are judged. */
export interface Task {
  name: string;
  kind: 'classification' | 'regression';
  columns: Columns;
  /** Names of the logits in the model's order; regression has none. */
  labels?: string[];
  /** Longest input in tokens. */
  maxLength: number;
  /** Mean tokens of an input, for counting operations; measured on the data where it is not given. */
  averageLength?: number;
  loss: LossKind;
  /** What a data file's label means to the model, undefined where it means nothing. */
  readLabel(value: string | number): number | undefined;
  /** For messages: the labels that `readLabel` understands. */
  allowedLabels: string;
  /** Fractions by the metrics' usual names. logits: [examples, classes]; labels: [examples]. */
  metrics(logits: Float32Array, labels: ArrayLike<number>, classes: number): Record<string, number>;
}

export type TaskDefinition = ClassificationDefinition | RegressionDefinition;

/** GLUE's tasks, and one of each kind for a user's own data. */
const definitions: Record<string, TaskDefinition> = {
  ...glue,
  classification: { kind: 'classification', columns: { text: 'text', label: 'label' }, maxLength: 128 },
  regression: { kind: 'regression', columns: { text: 'text', label: 'label' }, maxLength: 128 },
};

export const taskNames: readonly string[] = Object.keys(definitions);

/** A task with its official label order. Throws ERR_TASK listing the names there are. */
export function findTask(name: string): Task {
  return makeTask(name, undefined);
}

/**
 * The task as a checkpoint answers it: label names in config.json decide which logit means what. Without a name, the task
 * is the one that config.json names. Throws ERR_TASK where the checkpoint's head is not the task's.
 */
export function resolveTask(
  checkpoint: Pick<CheckpointDescription, 'config' | 'labels' | 'problem'>,
  name: string | undefined = namedTask(checkpoint.config),
): Task {
  if (name === undefined) {
    throw new EspalierError('ERR_TASK', `config.json names no task (give --task: ${taskNames.join(', ')})`);
  }
  const { labels, problem } = checkpoint;
  const task = makeTask(name, labels);
  if (task.kind !== problem) {
    throw new EspalierError(
      'ERR_TASK',
      `task ${name} is a ${task.kind} and the checkpoint a ${problem} (check --task)`,
    );
  }
  if (task.labels && task.labels.length !== labels.length) {
    throw new EspalierError(
      'ERR_TASK',
      `task ${name} has ${task.labels.length} labels (${task.labels.join(', ')}), the checkpoint has ${labels.length} (check --task)`,
    );
  }
  return task;
}

/** The task that config.json names, in espalier's spelling: GLUE's own is SST-2, STS-B. */
export function namedTask(config: Record<string, unknown>): string | undefined {
  const espalier = config.espalier as Record<string, unknown> | undefined;
  const name = espalier?.task ?? config.finetuning_task;
  return typeof name === 'string' ? name.toLowerCase().replaceAll('-', '') : undefined;
}

function makeTask(name: string, modelLabels: string[] | undefined): Task {
  const definition = Object.hasOwn(definitions, name) ? definitions[name] : undefined;
  if (!definition) throw new EspalierError('ERR_TASK', `unknown task ${quote(name)} (tasks: ${taskNames.join(', ')})`);
  return definition.kind === 'classification'
    ? classificationTask(name, definition, modelLabels)
    : regressionTask(name, definition);
}
