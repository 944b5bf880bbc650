import { stripVTControlCharacters } from 'node:util';
import { percent } from '../report/figures.js';
import type { TokenSavings } from '../tokens/token-counts.js';

/** Rows of a table, two spaces between columns: the first column left-aligned, the others right-aligned like numbers. */
export const table = (rows: string[][]): string => align(rows, (cell, padding) => padding + cell);

/** Names with their values, both left-aligned. */
export const fields = (rows: [name: string, value: string][]): string => align(rows, (cell, padding) => cell + padding);

function align(rows: string[][], place: (cell: string, padding: string) => string): string {
  const width = (cell: string): number => stripVTControlCharacters(cell).length;
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) => Math.max(...rows.map((row) => width(row[c] ?? ''))));
  const line = (row: string[]) =>
    row.map((cell, c) => {
      const padding = ' '.repeat((widths[c] as number) - width(cell));
      return c === 0 ? cell + padding : place(cell, padding);
    });
  return rows.map((row) => line(row).join('  ').trimEnd()).join('\n');
}

/** One row a metric, as a fraction like the JSON's. */
export const metricRows = (metrics: Record<string, number>): string[][] =>
  Object.entries(metrics).map(([name, value]) => [name, value.toFixed(4)]);

/** What dropping tokens saves. */
export const droppingRows = ({ macs, keptPerLayer }: TokenSavings): [string, string][] => [
  ['MACs of all tokens', percent(macs)],
  ['tokens kept per layer', keptPerLayer.map((kept) => percent(kept)).join('  ')],
];
