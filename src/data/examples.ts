import { EspalierError } from '../native/errors.js';
import { quote, quoteSome } from '../quote.js';
import type { Columns, Task } from '../tasks/task.js';
import { formatOf, type Row, type RowOptions, readRows } from './rows.js';
import { badData } from './text.js';

/** One input of a task and, where it is known, its answer. */
export interface Example {
  /** Of a question in its data set. */
  id?: string;
  /** A question, where the task is to answer it. */
  text: string;
  /** The second text, or the context of a question. */
  pair?: string;
  label?: Label;
}

/** A label's index, a number, or the answers to a question that count as right: none where it has no answer. */
export type Label = number | readonly GoldAnswer[];

/** An answer that stands in the context: pair.startsWith(text, start). */
export interface GoldAnswer {
  text: string;
  start: number;
}

/** How a file is read beside the task's own way. */
export interface ReadOptions extends Pick<RowOptions, 'format' | 'signal'> {
  /** Without labels the file's are not looked at and need not be there. */
  labels?: boolean | undefined;
  /** Rows that the task leaves out because they are broken are refused: each is to have its answer. */
  everyRow?: boolean | undefined;
}

/**
 * Reads a data file; `columns` replaces some of the task's own. Throws ERR_DATA naming file, line and what is allowed.
 */
export async function readExamples(
  file: string,
  task: Task,
  columns: Partial<Columns> = {},
  options: ReadOptions = {},
): Promise<Example[]> {
  const examples: Example[] = [];
  for await (const example of streamExamples(file, task, columns, options)) examples.push(example);
  if (examples.length === 0) throw new EspalierError('ERR_DATA', `${file} has no examples (give a file with some)`);
  return examples;
}

/** The same as they come: a large file need not be in memory. */
export async function* streamExamples(
  file: string,
  task: Task,
  columns: Partial<Columns>,
  { format = formatOf(file), labels = true, everyRow = false, signal }: ReadOptions,
): AsyncGenerator<Example> {
  const text = columns.text ?? task.columns.text;
  const pair = columns.pair ?? task.columns.pair;
  const label = columns.label ?? task.columns.label;
  const { id } = task.columns;
  const quirks = everyRow ? { ...task.quirks, leaveOutShort: false } : task.quirks;
  for await (const row of readRows(file, { format, quirks, signal })) {
    if (labels && task.undecided !== undefined && row.values[label] === task.undecided) continue;
    const example =
      format === 'txt'
        ? plainExample(file, row, task)
        : {
            ...readId(file, row, id),
            text: readText(file, row, text, '--text-column'),
            ...(pair === undefined ? {} : { pair: readText(file, row, pair, '--pair-column') }),
          };
    yield labels ? { ...example, label: readLabel(file, row, label, task, example) } : example;
  }
}

/** The examples' labels. Throws ERR_DATA where one is missing or none of the task's. */
export function labelsOf(examples: readonly Example[], task: Task): Label[] {
  return examples.map((example, index) => {
    const { label } = example;
    if (label !== undefined && task.isLabel(label, example)) return label;
    throw new EspalierError(
      'ERR_DATA',
      `example ${index + 1} has the label ${typeof label === 'object' ? quote(label) : label} (task ${task.name} needs ${task.allowedLabels})`,
    );
  });
}

/** Lines of plain text are split already; they have no columns to choose from. */
function plainExample(file: string, row: Row, task: Task): Example {
  const example = row.values as unknown as Example;
  if (task.kind !== 'span' || example.pair !== undefined) return example;
  throw badData(file, row.where, `no tab between a question and its context in ${quote(example.text)}`);
}

/** Only predictions need one, so it may be missing. */
function readId(file: string, row: Row, column: string | undefined): { id?: string } {
  const value = column === undefined ? undefined : row.values[column];
  if (value === undefined) return {};
  if (typeof value === 'string' || typeof value === 'number') return { id: String(value) };
  throw badData(file, row.where, `column ${quote(column)} holds ${quote(value)}, no name`);
}

function readText(file: string, row: Row, column: string, option: string): string {
  const value = readValue(file, row, column, option);
  if (typeof value === 'string') return value;
  throw badData(file, row.where, `column ${quote(column)} holds ${quote(value)}, no text`);
}

function readLabel(file: string, row: Row, column: string, task: Task, example: Example): Label {
  const value = readValue(file, row, column, '--label-column');
  const read = (given: unknown) => task.readLabel(given, example.pair);
  // A boolean, in whatever case as text, is a label of that name, or else 0 or 1.
  const name = typeof value === 'boolean' ? String(value) : value;
  const index = typeof name === 'string' ? ['false', 'true'].indexOf(name.toLowerCase()) : -1;
  const label = read(name) ?? (index === -1 ? undefined : read(index));
  if (label !== undefined && task.isLabel(label, example)) return label;
  throw badData(file, row.where, `label ${quote(value)} is unknown (task ${task.name} allows ${task.allowedLabels})`);
}

function readValue(file: string, row: Row, column: string, option: string): unknown {
  if (Object.hasOwn(row.values, column)) return row.values[column];
  const there = quoteSome(Object.keys(row.values));
  throw badData(file, row.where, `no column ${quote(column)}, only ${there} (${option} names another)`);
}
