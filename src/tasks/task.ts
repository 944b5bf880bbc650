import type { CheckpointDescription } from '../checkpoint/checkpoint.js';
import type { Example, Label } from '../data/examples.js';
import type { DataFormat } from '../data/rows.js';
import type { TsvQuirks } from '../data/tsv.js';
import type { LossKind } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';
import type { Encoding, Tokenizer } from '../tokenizer/tokenizer.js';
import { type ClassificationDefinition, type ClassPrediction, classificationTask } from './classification.js';
import { glue } from './glue.js';
import { type AnswerPrediction, type QuestionDefinition, questionTask, squad } from './question-answering.js';
import { type RegressionDefinition, regressionTask, type ValuePrediction } from './regression.js';

/** Where a data file keeps its texts and its label. */
export interface Columns {
  /** Of the names of questions, where the task has them. */
  id?: string;
  text: string;
  pair?: string;
  label: string;
}

/** How data files are read and made into sequences. */
export interface Reading {
  /** Columns of the data file where they are not the task's own. */
  columns?: Partial<Columns> | undefined;
  /** Of the data files, whatever their names end in. */
  format?: DataFormat | undefined;
  /** Longest input in tokens; by default the task's. */
  maxLength?: number | undefined;
}

/** What a task of any kind is defined by. */
export interface TaskSettings {
  columns: Columns;
  quirks?: TsvQuirks;
  /** The label of examples that nobody agreed on; they are left out. */
  undecided?: string;
  /** Longest input in tokens. */
  maxLength: number;
  /** Mean tokens of an input, for counting operations; measured on the data where it is not given. */
  averageLength?: number;
}

/** What a model says about one example. */
export type Prediction = ClassPrediction | ValuePrediction | AnswerPrediction;

/**
 * What a model is used for: how its data is read, put to the model and judged. An example goes through the model as one
 * sequence or, where it is longer than the model reads at once, as several that overlap.
 */
export interface Task<L extends Label = Label, P extends Prediction = Prediction> extends TaskSettings {
  name: string;
  kind: CheckpointDescription['problem'];
  /** Names of the logits in the model's order; only classification has some. */
  labels?: string[];
  loss: LossKind;
  /** Samples of a mini-batch of the pruning method's gradients. */
  miniBatch: number;

  /** What a data file's label, beside a second text, means to the model; undefined where it means nothing. */
  readLabel(value: unknown, pair?: string): L | undefined;
  /** Whether the example can have the label. */
  isLabel(label: Label, example: Example): boolean;
  /** For messages: the labels that `readLabel` understands. */
  allowedLabels: string;

  /** How many sequences `encode` makes of an example, at less cost where it is always one. */
  countSequences(example: Example, tokenizer: Tokenizer, maxLength: number): number;
  encode(example: Example, tokenizer: Tokenizer, maxLength: number): Encoding[];
  /** What the loss compares a sequence with: one number, or the first and the last token of the answer. */
  targets(label: L, sequence: Encoding): number[];

  /** logits: of each of the example's sequences, [labels] or [tokens, 2]. */
  predict(sequences: readonly Encoding[], logits: readonly Float32Array[], example: Example): P;
  /** Fractions by the metrics' usual names. */
  metrics(predictions: readonly P[], labels: readonly L[]): Record<string, number>;
  /** The text of a file with predictions, as those who keep the task's ranking want it. */
  submission(predictions: readonly P[], examples: readonly Example[]): string;
}

export type TaskDefinition = ClassificationDefinition | RegressionDefinition | QuestionDefinition;

/** GLUE's tasks, SQuAD's, and one of each kind for a user's own data. */
const definitions: Record<string, TaskDefinition> = {
  ...glue,
  ...squad,
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
      `task ${name} needs a model for ${kindNames[task.kind]} and the checkpoint is one for ${kindNames[problem]} (check --task)`,
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

const kindNames: Record<Task['kind'], string> = {
  classification: 'classification',
  regression: 'regression',
  span: 'question answering',
};

/** The task that config.json names, in espalier's spelling: GLUE's own is SST-2, STS-B. */
export function namedTask(config: Record<string, unknown>): string | undefined {
  const espalier = config.espalier as Record<string, unknown> | undefined;
  const name = espalier?.task ?? config.finetuning_task;
  return typeof name === 'string' ? name.toLowerCase().replaceAll('-', '') : undefined;
}

function makeTask(name: string, modelLabels: string[] | undefined): Task {
  const definition = Object.hasOwn(definitions, name) ? definitions[name] : undefined;
  if (!definition) throw new EspalierError('ERR_TASK', `unknown task ${quote(name)} (tasks: ${taskNames.join(', ')})`);
  switch (definition.kind) {
    case 'classification':
      return classificationTask(name, definition, modelLabels);
    case 'regression':
      return regressionTask(name, definition);
    case 'span':
      return questionTask(name, definition);
  }
}
