import type { CellChart } from './chart.js';
import { fraction, megabytes, percent, times } from './figures.js';
import type { About, Page, Section } from './page.js';
import type { Metrics } from './prune-report.js';
import { speedSections } from './speed-section.js';
import type { SweepBudget, SweepReport } from './sweep-report.js';
import { warningSections } from './warning-sections.js';

/** What every budget costs and gains, side by side. */
export function sweepPage(report: SweepReport, about: About): Page {
  const { settings, budgets, environment } = report;
  const { task, preset, seed, samples, constraint } = settings;
  const dense = denseMetrics(budgets);
  return {
    title: `${about.checkpoint}, ${task}: ${budgets.length} budgets of ${constraint === 'macs' ? 'MACs' : 'latency'}`,
    facts: [
      ['preset', `${preset}, ${samples} samples, seed ${seed}`],
      ['device', `${report.device}, ${report.threads} threads, ${report.precision}`],
    ],
    sections: [
      { title: 'Budgets', table: budgetTable(budgets) },
      ...warningSections([
        ['keep', 'what'],
        ...budgets.flatMap(({ keep, report: { warnings = [] } }) => warnings.map((warning) => [String(keep), warning])),
      ]),
      ...(dense ? evaluationSections(budgets, dense) : []),
      ...speedSections(
        budgets.flatMap(({ report: { achieved }, latency }) =>
          latency ? [{ series: 'measured', macs: achieved.macs, latency }] : [],
        ),
      ),
      ...layerSections(budgets, about),
    ],
    environment,
    command: about.command,
    data: report,
  };
}

/** One row a budget, after the dense model's; the first row names the columns. */
export function budgetTable(budgets: readonly SweepBudget[]): string[][] {
  const dense = denseMetrics(budgets) ?? {};
  const metrics = Object.keys(dense);
  return [
    ['keep', 'MACs', 'parameters', 'weights', 'speed-up', ...metrics, 'seconds'],
    ...(metrics.length > 0 ? [['dense', '', '', '', '', ...metrics.map((name) => fraction(dense[name])), '']] : []),
    ...budgets.map(({ keep, report: { achieved, pruned, seconds }, latency }) => [
      String(keep),
      percent(achieved.macs),
      percent(achieved.parameters),
      megabytes(achieved.bytes),
      latency ? times(latency.speedup) : '',
      ...metrics.map((name) => fraction(pruned?.[name])),
      seconds.total.toFixed(1),
    ]),
  ];
}

const denseMetrics = (budgets: readonly SweepBudget[]): Metrics | undefined => budgets[0]?.report.dense;

/** Every metric over the cost that is left, as counted and as measured. */
function evaluationSections(budgets: readonly SweepBudget[], dense: Metrics): Section[] {
  const over = (x: (budget: SweepBudget) => number | undefined) =>
    budgets.flatMap((budget) => {
      const at = x(budget);
      const { pruned = {} } = budget.report;
      return at === undefined ? [] : Object.entries(pruned).map(([series, y]) => ({ x: at, y, series }));
    });
  const levels = Object.entries(dense).map(([series, y]) => ({ y, series }));
  const y = { label: 'metric', percent: true };
  const sections = [
    { title: 'Metrics over MACs', label: 'MACs left', points: over(({ report }) => report.achieved.macs) },
    {
      title: 'Metrics over measured latency',
      label: 'latency left',
      points: over(({ latency }) => latency && 1 / latency.speedup.median),
    },
  ];
  return sections
    .filter(({ points }) => points.length > 0)
    .map(({ title, label, points }) => ({
      title,
      note: 'Dashed: the dense model.',
      charts: [{ kind: 'lines', x: { label, percent: true }, y, points, levels }],
    }));
}

function layerSections(budgets: readonly SweepBudget[], { layers: dense = [] }: About): Section[] {
  const chart = (kind: 'heads' | 'neurons'): CellChart => ({
    kind: 'cells',
    x: 'layer',
    y: 'keep',
    cells: budgets.flatMap(({ keep, report: { layers } }) =>
      layers.map((layer, index) => ({
        x: String(index),
        y: String(keep),
        value: layer[kind],
        of: dense[index]?.[kind] ?? layer[kind],
      })),
    ),
  });
  return [
    { title: 'Heads per layer', charts: [chart('heads')] },
    { title: 'Neurons per layer', charts: [chart('neurons')] },
  ];
}
