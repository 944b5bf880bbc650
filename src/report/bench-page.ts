import type { BenchReport, BenchRow, Speed } from './bench-report.js';
import { type Bar, type BarChart, barOf } from './chart.js';
import { grouped, times } from './figures.js';
import type { About, Page } from './page.js';

/** Throughput and latency of a model, by itself or against another. */
export function benchPage(report: BenchReport, about: About): Page {
  const { against, device, threads, precision, rounds, rows, environment } = report;
  const name = about.checkpoint;
  return {
    title: against === undefined ? `${name}: how fast it is` : `${name} against ${against}`,
    facts: [
      ['device', `${device}, ${threads} threads, ${precision}`],
      ['rounds', `${rounds}, in turns`],
    ],
    sections: [
      {
        title: 'Throughput',
        note: 'Tokens a second, without padding.',
        charts: [speedChart(report, name, 'tokens a second', ({ tokensPerSecond }) => ({ value: tokensPerSecond }))],
      },
      {
        title: 'Latency',
        note: 'Of one batch: the median, with the lowest and the highest.',
        charts: [speedChart(report, name, 'ms', ({ latency }) => barOf(latency, 1e-3))],
      },
      ...(against === undefined
        ? []
        : [
            {
              title: 'Speed-up',
              note: `How many times as long ${against} takes, round by round.`,
              charts: [speedupChart(rows)],
            },
          ]),
      { title: 'Figures', table: benchTable(report, name) },
    ],
    environment,
    command: about.command,
    data: report,
  };
}

/** One row a batch and contender; the first row names the columns. */
export function benchTable({ rows, against }: BenchReport, checkpoint: string): string[][] {
  const milliseconds = (seconds: number) => (1000 * seconds).toFixed(2);
  const line = (name: string, { tokensPerSecond, latency }: Speed, batch: string, length: string, ratio: string) => [
    name,
    batch,
    length,
    grouped(tokensPerSecond),
    ...[latency.median, latency.p90, latency.p99].map(milliseconds),
    ...(against === undefined ? [] : [ratio]),
  ];
  const lines = rows.flatMap((row) => {
    const batch = String(row.batch);
    const { tokens, paddedTokens = tokens, speedup, against: other } = row;
    return [
      line(checkpoint, row, batch, lengthOf(row, tokens), speedup ? times(speedup) : ''),
      ...(other ? [line(against as string, other, batch, lengthOf(row, paddedTokens), '')] : []),
    ];
  });
  const head = ['', 'batch', 'length', 'tokens/s', 'median ms', 'p90 ms', 'p99 ms', ...(against ? ['speed-up'] : [])];
  return [head, ...lines];
}

/** Of every sequence, or on average where the texts say it. */
const lengthOf = ({ batch, length }: BenchRow, tokens: number): string =>
  length === undefined ? (tokens / batch).toFixed(1) : String(length);

const caseOf = (row: BenchRow): string => `${row.batch} x ${lengthOf(row, row.tokens)}`;

function speedChart(
  { rows, against }: BenchReport,
  checkpoint: string,
  label: string,
  bar: (speed: Speed) => Omit<Bar, 'name'>,
): BarChart {
  return {
    kind: 'bars',
    label,
    bars: rows.flatMap((row) => [
      { name: checkpoint, group: caseOf(row), ...bar(row) },
      ...(row.against ? [{ name: against as string, group: caseOf(row), ...bar(row.against) }] : []),
    ]),
  };
}

function speedupChart(rows: readonly BenchRow[]): BarChart {
  return {
    kind: 'bars',
    label: 'times as fast',
    bars: rows.flatMap((row) => (row.speedup ? [{ name: caseOf(row), ...barOf(row.speedup) }] : [])),
  };
}
