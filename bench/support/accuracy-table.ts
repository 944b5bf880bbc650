import { mean } from '../../src/statistics.js';
import type { AccuracyRow } from './accuracy-job.js';
import { markdown } from './markdown.js';

/** Markdown: per method a table of the points lost, checkpoints by budgets, each the mean over the seeds. */
export function accuracyTables(rows: readonly AccuracyRow[]): string {
  return groups(rows, methodOf)
    .map(([method, of]) => `${method}\n\n${lossTable(of)}`)
    .join('\n\n');
}

/** In the order of their first rows. */
function groups(rows: readonly AccuracyRow[], keyOf: (row: AccuracyRow) => string): [string, AccuracyRow[]][] {
  return [...new Set(rows.map(keyOf))].map((key) => [key, rows.filter((row) => keyOf(row) === key)]);
}

function methodOf({ preset, without, samples, texts }: AccuracyRow): string {
  const parts = without.length > 0 ? ` without ${without.join(', ')}` : '';
  return `${preset}${parts}, ${samples} samples${texts === undefined ? '' : ` of ${texts}`}`;
}

function lossTable(rows: readonly AccuracyRow[]): string {
  const keeps = [...new Set(rows.map(({ keep }) => keep))].sort((a, b) => b - a);
  const checkpoints = groups(rows, ({ checkpoint }) => checkpoint);
  const lossesAt = (keep: number) => checkpoints.map(([, of]) => loss(of.filter((row) => row.keep === keep)));
  return markdown([
    [
      'checkpoint',
      'dense',
      ...keeps.map((keep) => `keep ${keep}`),
      ...allowances.map((points) => `least within ${points}`),
      'seconds',
      'peak GiB',
    ],
    ...checkpoints.map(([checkpoint, of]) => [
      checkpoint,
      (100 * (of[0]?.dense as number)).toFixed(1),
      ...keeps.map((keep) => cell(of.filter((row) => row.keep === keep))),
      ...allowances.map((points) => String(leastWithin(points, of) ?? '')),
      Math.max(...of.map(({ seconds }) => seconds)).toFixed(0),
      (Math.max(...of.map(({ peak }) => peak)) / 2 ** 30).toFixed(2),
    ]),
    ['mean', '', ...keeps.map((keep) => mean(lossesAt(keep).filter(Number.isFinite)).toFixed(2)), '', '', '', ''],
    [
      'worst',
      '',
      ...keeps.map((keep) => Math.max(...lossesAt(keep).filter(Number.isFinite)).toFixed(2)),
      '',
      '',
      '',
      '',
    ],
  ]);
}

/** Points that a user may be ready to lose. */
const allowances = [1, 2];

/** The smallest budget that loses no more than so many points: in the mean over its seeds, of the budgets with most seeds. */
function leastWithin(points: number, rows: readonly AccuracyRow[]): number | undefined {
  const budgets = [...new Set(rows.map(({ keep }) => keep))].map((keep) => rows.filter((row) => row.keep === keep));
  const seeds = Math.max(...budgets.map(({ length }) => length));
  const within = budgets.filter((of) => of.length === seeds && loss(of) <= points);
  return within.map(([row]) => (row as AccuracyRow).keep).sort((a, b) => a - b)[0];
}

/** Mean points lost, and how far the seeds lie apart. */
function cell(rows: readonly AccuracyRow[]): string {
  if (rows.length === 0) return '';
  const values = rows.map(({ dense, pruned }) => 100 * (dense - pruned));
  const spread = Math.max(...values) - Math.min(...values);
  return `${mean(values).toFixed(2)}${rows.length > 1 ? ` (${spread.toFixed(1)})` : ''}`;
}

const loss = (rows: readonly AccuracyRow[]) => mean(rows.map(({ dense, pruned }) => 100 * (dense - pruned)));
