import { EspalierError } from '../native/errors.js';
import { quote, quoteSome } from '../quote.js';
import type { Columns, Task } from '../tasks/task.js';
import { type DataFormat, formatOf, type Row, readRows } from './rows.js';
import { badData } from './text.js';

/** One input of a model and, where it is known, its answer: a label's index or a number. */
export interface Example {
  text: string;
  pair?: string;
  label?: number;
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
  for await (const row of readRows(file, format)) {
    examples.push({ ...readTexts(file, row, chosen, format), label: readLabel(file, row, chosen.label, task) });
  }
  if (examples.length === 0) throw new EspalierError('ERR_DATA', `${file} has no examples (give a file with some)`);
  return examples;
}

/** The texts of a file as they come, labelled or not. Throws ERR_DATA. */
export async function* readUnlabelled(
  file: string,
  columns: TextColumns,
  format: DataFormat = formatOf(file),
): AsyncGenerator<Example> {
  for await (const row of readRows(file, format)) yield readTexts(file, row, columns, format);
}

/** The first set with what the second one names in place. */
export function chooseColumns<Set extends TextColumns>(columns: Set, others: Partial<Columns>): Set {
  const given = Object.entries(others).filter(([, name]) => name !== undefined);
  return { ...columns, ...Object.fromEntries(given) };
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

type TextColumns = Pick<Columns, 'text' | 'pair'>;

/** Lines of plain text are split already; they have no columns to choose from. */
function readTexts(file: string, row: Row, { text, pair }: TextColumns, format: DataFormat): Example {
  if (format === 'txt') return row.values as unknown as Example;
  return {
    text: readText(file, row, text, '--text-column'),
    ...(pair === undefined ? {} : { pair: readText(file, row, pair, '--pair-column') }),
  };
}

function readText(file: string, row: Row, column: string, option: string): string {
  const value = readValue(file, row, column, option);
  if (typeof value === 'string') return value;
  throw badData(file, row.where, `column ${quote(column)} holds ${quote(value)}, no text`);
}

function readLabel(file: string, row: Row, column: string, task: Task): number {
  const value = readValue(file, row, column, '--label-column');
  const named = typeof value === 'boolean' ? Number(value) : value;
  const label = typeof named === 'string' || typeof named === 'number' ? task.readLabel(named) : undefined;
  if (label !== undefined) return label;
  throw badData(file, row.where, `label ${quote(value)} is unknown (task ${task.name} allows ${task.allowedLabels})`);
}

function readValue(file: string, row: Row, column: string, option: string): unknown {
  if (Object.hasOwn(row.values, column)) return row.values[column];
  const there = quoteSome(Object.keys(row.values));
  throw badData(file, row.where, `no column ${quote(column)}, only ${there} (${option} names another)`);
}
