import type { Spread } from '../latency/rounds.js';

/** Something to draw: what a page holds, and the script in it reads. */
export type Chart = BarChart | LineChart | CellChart;

/** One bar a row, for sizes. */
export interface BarChart {
  kind: 'bars';
  /** Of the vertical axis. */
  label: string;
  bars: Bar[];
}

export interface Bar {
  name: string;
  /** Bars of one group stand together. */
  group?: string | undefined;
  value: number;
  /** Where the value was higher before, for an outline. */
  before?: number | undefined;
  /** Between these it was found, round by round. */
  lowest?: number | undefined;
  highest?: number | undefined;
}

/** A bar of what was measured in several rounds, in units of `unit`. */
export const barOf = ({ median, lowest, highest }: Spread, unit = 1): Omit<Bar, 'name'> => ({
  value: median / unit,
  lowest: lowest / unit,
  highest: highest / unit,
});

/** A line a series, for how something depends on something else. */
export interface LineChart {
  kind: 'lines';
  /** Of the axes; a fraction is shown in per cent. */
  x: { label: string; percent?: boolean };
  y: { label: string; percent?: boolean };
  points: LinePoint[];
  /** Levels to compare with. */
  levels?: { y: number; series: string }[];
}

export interface LinePoint {
  /** A number, or the name of one of several steps in order. */
  x: number | string;
  y: number;
  series: string;
  lowest?: number | undefined;
  highest?: number | undefined;
}

/** A table of shades, for what is kept of what there was. */
export interface CellChart {
  kind: 'cells';
  x: string;
  y: string;
  cells: { x: string; y: string; value: number; of: number }[];
}
