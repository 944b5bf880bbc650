import type { Spread } from '../latency/rounds.js';
import type { Metrics } from './prune-report.js';

/** How figures are written for people. */
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
export const percent = (fraction: number): string => `${(fraction * 100).toFixed(1)} %`;
/** A metric, where it is known. */
export const fraction = (value: number | undefined): string => value?.toFixed(4) ?? '';
export const grouped = (value: number): string => Math.round(value).toLocaleString('en-US');
export const milliseconds = (seconds: number): string => `${(1000 * seconds).toFixed(2)} ms`;

/** A ratio with the lowest and the highest of the rounds. */
export const times = ({ median, lowest, highest }: Spread): string =>
  `${median.toFixed(2)}x (${lowest.toFixed(2)} to ${highest.toFixed(2)})`;

/** One row a metric, as fractions like the JSON's, one column each of the evaluations; the first row names them. */
export function metricTable(evaluations: Record<string, Metrics | undefined>): string[][] {
  const columns = Object.entries(evaluations).flatMap(([name, metrics]) => (metrics ? [{ name, metrics }] : []));
  const names = Object.keys(columns[0]?.metrics ?? {});
  return [
    ['', ...columns.map(({ name }) => name)],
    ...names.map((metric) => [metric, ...columns.map(({ metrics }) => (metrics[metric] ?? 0).toFixed(4))]),
  ];
}

/** A row of names and values, where there is a value. */
export const optionalField = <T>(name: string, value: T | undefined, text: (value: T) => string): [string, string][] =>
  value === undefined ? [] : [[name, text(value)]];
