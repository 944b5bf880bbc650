import type { Recipe } from '../training/recipe.js';
import type { LinePoint } from './chart.js';
import { fraction, percent, times } from './figures.js';
import type { About, Page, Section } from './page.js';
import type { Metrics } from './prune-report.js';
import { speedSections } from './speed-section.js';
import type { FinishedTokensRun, TokensSweepReport } from './tokens-report.js';
import { warningSections } from './warning-sections.js';

/** What every way to drop tokens costs and gains, side by side. */
export function tokensPage(report: TokensSweepReport, about: About): Page {
  const { settings, runs, environment } = report;
  const { task, soft, hard, seed } = settings;
  return {
    title: `${about.checkpoint}, ${task}: ${runs.length} checkpoints that drop tokens`,
    facts: [
      ['soft masks', recipeFact(soft)],
      ['dropping tokens', recipeFact(hard)],
      ['seed', String(seed)],
      ['device', `${report.device}, ${report.threads} threads, ${report.precision}`],
    ],
    sections: [
      { title: 'Checkpoints', table: tokensTable(runs) },
      ...warningSections([
        ['checkpoint', 'what'],
        ...runs.flatMap(({ name, report: { warnings = [] } }) => warnings.map((warning) => [name, warning])),
      ]),
      ...Object.entries(denseMetrics(runs)).map(([metric, dense]) => metricSection(metric, dense, runs)),
      ...speedSections(
        bySeries(runs).flatMap((run) =>
          run.latency ? [{ series: seriesOf(run), macs: macsOf(run), latency: run.latency }] : [],
        ),
      ),
      ...keptSections(runs),
    ],
    environment,
    command: about.command,
    data: report,
  };
}

/** One row a checkpoint, after the dense model's; the first row names the columns. */
export function tokensTable(runs: readonly FinishedTokensRun[]): string[][] {
  const dense = denseMetrics(runs);
  const metrics = Object.keys(dense);
  return [
    ['checkpoint', 'MACs', 'speed-up', ...metrics, 'seconds'],
    ...(metrics.length > 0 ? [['dense', '', '', ...metrics.map((name) => fraction(dense[name])), '']] : []),
    ...runs.map((run) => [
      run.name,
      percent(macsOf(run)),
      run.latency ? times(run.latency.speedup) : '',
      ...metrics.map((name) => fraction(run.report.trained?.[name])),
      run.report.seconds.total.toFixed(1),
    ]),
  ];
}

const denseMetrics = ([first]: readonly FinishedTokensRun[]): Metrics => first?.report.dense ?? {};

/** On the evaluation data; a model that drops nothing leaves all. */
const macsOf = ({ report }: FinishedTokensRun): number => report.dropping?.macs ?? 1;

const seriesOf = ({ method, lambda }: FinishedTokensRun): string =>
  lambda === undefined ? method : `${method}, by lambda`;

const recipeFact = ({ epochs, learningRate, batch }: Recipe): string =>
  `epochs: ${epochs}, learning rate: ${learningRate}, batches of ${batch}`;

/** One line after another, each with its points in order. */
function bySeries(runs: readonly FinishedTokensRun[]): FinishedTokensRun[] {
  const ordered = [...runs].sort((a, b) => macsOf(b) - macsOf(a));
  return [...new Set(runs.map(seriesOf))].flatMap((series) => ordered.filter((run) => seriesOf(run) === series));
}

function metricSection(metric: string, dense: number, runs: readonly FinishedTokensRun[]): Section {
  const points = bySeries(runs).flatMap((run): LinePoint[] => {
    const y = run.report.trained?.[metric];
    return y === undefined ? [] : [{ x: macsOf(run), y, series: seriesOf(run) }];
  });
  return {
    title: `${metric} over MACs`,
    note: 'Dashed: the dense model.',
    charts: [
      {
        kind: 'lines',
        x: { label: 'MACs left', percent: true },
        y: { label: metric, percent: true },
        points,
        levels: [{ y: dense, series: 'dense' }],
      },
    ],
  };
}

function keptSections(runs: readonly FinishedTokensRun[]): Section[] {
  const cells = runs.flatMap(({ name, report: { dropping } }) =>
    (dropping?.keptPerLayer ?? []).map((kept, layer) => ({
      x: String(layer),
      y: name,
      value: Math.round(100 * kept),
      of: 100,
    })),
  );
  if (cells.length === 0) return [];
  return [
    {
      title: 'Tokens kept per layer',
      note: 'Per cent of the tokens that came in.',
      charts: [{ kind: 'cells', x: 'layer', y: 'checkpoint', cells }],
    },
  ];
}
