import type { LinePoint } from './chart.js';
import type { Section } from './page.js';
import type { MeasuredLatency } from './prune-report.js';

/** A model that was measured in turns with the dense one. */
export interface MeasuredModel {
  series: string;
  /** The part of the multiply-accumulates that is left. */
  macs: number;
  latency: MeasuredLatency;
}

/** How much faster models are than the dense one, beside what their multiply-accumulates promise; nothing where none is measured. */
export function speedSections(models: readonly MeasuredModel[]): Section[] {
  const [first] = models;
  if (first === undefined) return [];
  const { batch, tokens } = first.latency;
  const points: LinePoint[] = models.map(({ series, macs, latency: { speedup } }) => {
    const { median, lowest, highest } = speedup;
    return { x: macs, y: median, series, lowest, highest };
  });
  const macs = models.map((model) => model.macs).sort((a, b) => b - a);
  points.push(...macs.map((x) => ({ x, y: 1 / x, series: 'as MACs promise' })));
  return [
    {
      title: 'Speed-up over MACs',
      note: `${batch} sequences, ${tokens} tokens, each in turns with the dense model`,
      charts: [{ kind: 'lines', x: { label: 'MACs left', percent: true }, y: { label: 'times as fast' }, points }],
    },
  ];
}
