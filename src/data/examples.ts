import { EspalierError } from '../native/errors.js';
import { quote, quoteSome } from '../quote.js';
import type { Columns, Task } from '../tasks/task.js';
import { type Row, readRows } from './rows.js';
import { badData } from './text.js';

/** One input of a model and, where it is known, its answer: a label's index or a number. */
export interface Example {
  text: string;
  pair?: string;
  label?: number;
}

/**
 * Reads a labelled TSV, CSV, JSONL or JSON file; `columns` replaces some of the task's own. Throws ERR_DATA naming file,
 * line and what is allowed.
 */
export async function readExamples(file: string, task: Task, columns: Partial<Columns> = {}): Promise<Example[]> {
  const text = columns.text ?? task.columns.text;
  const pair = columns.pair ?? task.columns.pair;
  const label = columns.label ?? task.columns.label;
  const examples: Example[] = [];
  for await (const row of readRows(file)) {
    examples.push({
      text: readText(file, row, text, '--text-column'),
      ...(pair === undefined ? {} : { pair: readText(file, row, pair, '--pair-column') }),
      label: readLabel(file, row, label, task),
    });
  }
  if (examples.length === 0) throw new EspalierError('ERR_DATA', `${file} has no examples (give a file with some)`);
  return examples;
}

/** Labels as native code takes them. Throws ERR_DATA where one is missing or none of the task's. */
export function labelsOf(examples: readonly Example[], task: Task): Int32Array | Float32Array {
  const classes = task.labels?.length ?? Number.POSITIVE_INFINITY;
  const isLabel = (label: number) =>
    task.kind === 'classification' ? Number.isInteger(label) && label >= 0 && label < classes : Number.isFinite(label);
  const labels = examples.map(({ label }, index) => {
    if (label !== undefined && isLabel(label)) return label;
    throw new EspalierError(
      'ERR_DATA',
      `example ${index + 1} has the label ${label} (task ${task.name} needs ${task.allowedLabels})`,
    );
  });
  return task.kind === 'classification' ? Int32Array.from(labels) : Float32Array.from(labels);
}

function readText(file: string, row: Row, column: string, option: string): string {
  const value = readValue(file, row, column, option);
  if (typeof value === 'string') return value;
  throw badData(file, row.where, `column ${quote(column)} holds ${quote(value)}, no text`);
}

function readLabel(file: string, row: Row, column: string, task: Task): number {
  const value = readValue(file, row, column, '--label-column');
  const label = typeof value === 'string' || typeof value === 'number' ? task.readLabel(value) : undefined;
  if (label !== undefined) return label;
  throw badData(file, row.where, `label ${quote(value)} is unknown (task ${task.name} allows ${task.allowedLabels})`);
}

function readValue(file: string, row: Row, column: string, option: string): unknown {
  if (Object.hasOwn(row.values, column)) return row.values[column];
  const there = quoteSome(Object.keys(row.values));
  throw badData(file, row.where, `no column ${quote(column)}, only ${there} (${option} names another)`);
}
