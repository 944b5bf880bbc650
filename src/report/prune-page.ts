import type { LayerShape } from '../native/addon.js';
import { barOf } from './chart.js';
import { megabytes, metricTable, milliseconds, optionalField, percent, times } from './figures.js';
import type { About, Page, Section } from './page.js';
import type { MeasuredLatency, PruneReport } from './prune-report.js';
import { warningSections } from './warning-sections.js';

/** What one pruning run kept, cost and gained. */
export function prunePage(report: PruneReport, about: About): Page {
  const { task, preset, seed, constraint, achieved, layers, latency, seconds, warnings = [] } = report;
  return {
    title: `${about.checkpoint}, ${task}: ${percent(constraint.keep)} of the ${constraint.kind === 'macs' ? 'MACs' : 'latency'}`,
    facts: [
      ['preset', `${preset}, seed ${seed}`],
      ['MACs', percent(achieved.macs)],
      ...optionalField('latency, predicted', achieved.latency, percent),
      ...optionalField('speed-up, measured', latency?.speedup, times),
      ['parameters', percent(achieved.parameters)],
      ['weights', megabytes(achieved.bytes)],
      ...optionalField('written to', report.output, String),
    ],
    sections: [
      ...warningSections([['what'], ...warnings.map((warning) => [warning])]),
      ...evaluationSections(report),
      ...(latency ? [latencySection(latency)] : []),
      ...layerSections(layers, about.layers),
      {
        title: 'Where the time went',
        table: [['step', 'seconds'], ...Object.entries(seconds).map(([step, value]) => [step, value.toFixed(2)])],
      },
    ],
    environment: latency?.environment,
    command: about.command,
    data: report,
  };
}

/** The metrics of the dense model, after every step, and of the model as it is stored. */
function evaluationSections({ dense, stages = {}, pruned }: PruneReport): Section[] {
  if (dense === undefined || pruned === undefined) return [];
  const evaluations = { dense, ...stages, pruned };
  return [
    {
      title: 'Metrics',
      charts: [
        {
          kind: 'lines',
          x: { label: 'step' },
          y: { label: 'metric', percent: true },
          points: Object.entries(evaluations).flatMap(([x, metrics]) =>
            Object.entries(metrics).map(([series, y]) => ({ x, y, series })),
          ),
        },
      ],
      table: metricTable(evaluations),
    },
  ];
}

function latencySection({ batch, tokens, dense, pruned }: MeasuredLatency): Section {
  const contenders = { dense, pruned };
  return {
    title: 'Latency',
    note: `${batch} sequences, ${tokens} tokens, both models in turns`,
    charts: [
      {
        kind: 'bars',
        label: 'ms',
        bars: Object.entries(contenders).map(([name, latency]) => ({ name, ...barOf(latency, 1e-3) })),
      },
    ],
    table: [
      ['', 'median', 'lowest', 'highest'],
      ...Object.entries(contenders).map(([name, { median, lowest, highest }]) => [
        name,
        ...[median, lowest, highest].map(milliseconds),
      ]),
    ],
  };
}

const unitKinds = ['heads', 'neurons'] as const;

function layerSections(layers: readonly LayerShape[], before: readonly LayerShape[] = []): Section[] {
  return unitKinds.map((kind) => ({
    title: `${kind === 'heads' ? 'Heads' : 'Neurons'} per layer`,
    charts: [
      {
        kind: 'bars' as const,
        label: kind,
        bars: layers.map((layer, index) => ({
          name: String(index),
          value: layer[kind],
          before: before[index]?.[kind],
        })),
      },
    ],
  }));
}
