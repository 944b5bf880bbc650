import { EspalierError } from '../native/errors.js';
import { quote, quoteSome } from '../quote.js';
import type { Columns, Task } from '../tasks/task.js';
import { type DataFormat, formatOf, type Row, readRows } from './rows.js';
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

/**
 * Reads a labelled file; `columns` replaces some of the task's own, `format` what its extension says. Throws ERR_DATA
 * naming file, line and what is allowed.
 */
export async function readExamples(
  file: string,
  task: Task,
  columns: Partial<Columns> = {},
  format: DataFormat = formatOf(file),
): Promise<Example[]> {
  const chosen = chooseColumns(task.columns, columns);
  const examples: Example[] = [];
  for await (const row of readRows(file, format, task.quirks)) {
    if (task.undecided !== undefined && row.values[chosen.label] === task.undecided) continue;
    const example = readTexts(file, row, chosen, format);
    examples.push({ ...example, label: readLabel(file, row, chosen.label, task, example) });
  }
  if (examples.length === 0) throw new EspalierError('ERR_DATA', `${file} has no examples (give a file with some)`);
  return examples;
}

/** The texts of a file as they come, labelled or not. Throws ERR_DATA. */
export async function* readUnlabelled(
  file: string,
  task: Pick<Task, 'columns' | 'quirks'>,
  columns: Partial<Columns> = {},
  format: DataFormat = formatOf(file),
): AsyncGenerator<Example> {
  const chosen = chooseColumns(task.columns, columns);
  for await (const row of readRows(file, format, task.quirks)) yield readTexts(file, row, chosen, format);
}

/** The task's columns with those that have another name in a file. */
function chooseColumns(columns: Columns, others: Partial<Columns>): Columns {
  const given = Object.entries(others).filter(([, name]) => name !== undefined);
  return { ...columns, ...Object.fromEntries(given) };
}

/** The examples' labels. Throws ERR_DATA where one is missing or none of the task's. */
export function labelsOf(examples: readonly Example[], task: Task): Label[] {
  return examples.map((example, index) => {
    const { label } = example;
    if (label !== undefined && task.isLabel(label, example)) return label;
    const shown = typeof label === 'object' ? quote(label) : label;
    throw new EspalierError(
      'ERR_DATA',
      `example ${index + 1} has the label ${shown} (task ${task.name} needs ${task.allowedLabels})`,
    );
  });
}

/** Lines of plain text are split already; they have no columns to choose from. */
function readTexts(file: string, row: Row, { id, text, pair }: Columns, format: DataFormat): Example {
  if (format === 'txt') return row.values as unknown as Example;
  return {
    ...(id === undefined ? {} : readId(file, row, id)),
    text: readText(file, row, text, '--text-column'),
    ...(pair === undefined ? {} : { pair: readText(file, row, pair, '--pair-column') }),
  };
}

/** Only files of predictions name it, so it may be missing. */
function readId(file: string, row: Row, column: string): { id?: string } {
  const value = row.values[column];
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
  const label = task.readLabel(value, example.pair);
  if (label !== undefined && task.isLabel(label, example)) return label;
  throw badData(file, row.where, `label ${quote(value)} is unknown (task ${task.name} allows ${task.allowedLabels})`);
}

function readValue(file: string, row: Row, column: string, option: string): unknown {
  if (Object.hasOwn(row.values, column)) return row.values[column];
  const there = quoteSome(Object.keys(row.values));
  throw badData(file, row.where, `no column ${quote(column)}, only ${there} (${option} names another)`);
}
