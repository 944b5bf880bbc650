/** The script of a page: draws a chart from the description in each figure. */
import * as Plot from '@observablehq/plot';
import type { Bar, BarChart, CellChart, Chart, LineChart, LinePoint } from '../chart.js';

const width = 720;

function draw(chart: Chart): SVGSVGElement | HTMLElement {
  switch (chart.kind) {
    case 'bars':
      return bars(chart);
    case 'lines':
      return lines(chart);
    case 'cells':
      return cells(chart);
  }
}

function bars({ label, bars }: BarChart) {
  const grouped = bars.some(({ group }) => group !== undefined);
  const names = [...new Set(bars.map(({ name }) => name))];
  const place = { x: 'name', ...(grouped && { fx: 'group' }) };
  return Plot.plot({
    width,
    height: 260,
    marginLeft: 64,
    x: { label: null, domain: names, ...(grouped && { axis: null }) },
    fx: { label: null, domain: [...new Set(bars.map(({ group }) => group))] },
    y: { label, grid: true },
    ...(grouped && { color: { domain: names, legend: true } }),
    marks: [
      Plot.barY(
        bars.filter(({ before }) => before !== undefined),
        { ...place, y: 'before', fill: 'none', stroke: 'currentColor', strokeOpacity: 0.4 },
      ),
      Plot.barY(bars, {
        ...place,
        y: 'value',
        fill: grouped ? 'name' : 'var(--accent)',
        title: nameOf,
        ariaLabel: nameOf,
        tip: true,
      }),
      Plot.ruleX(
        bars.filter(({ lowest }) => lowest !== undefined),
        { ...place, y1: 'lowest', y2: 'highest' },
      ),
      Plot.text(bars, {
        ...place,
        y: ({ value, highest }) => highest ?? value,
        text: ({ value }) => short(value),
        dy: -4,
        lineAnchor: 'bottom',
      }),
      Plot.ruleY([0]),
    ],
  });
}

function lines({ x, y, points, levels = [] }: LineChart) {
  const series = [...new Set([...points, ...levels].map((point) => point.series))];
  const place = { x: 'x', y: 'y', stroke: 'series' };
  const steps = points.flatMap((point) => (typeof point.x === 'string' ? [point.x] : []));
  return Plot.plot({
    width,
    height: 320,
    marginLeft: 56,
    x: { ...axis(x), ...(steps.length > 0 ? { type: 'point', domain: [...new Set(steps)] } : { nice: true }) },
    y: { ...axis(y), grid: true, nice: true },
    color: { domain: series, legend: true },
    marks: [
      Plot.ruleY(levels, { y: 'y', stroke: 'series', strokeDasharray: '4 3' }),
      Plot.lineY(points, place),
      Plot.ruleX(
        points.filter(({ lowest }) => lowest !== undefined),
        { x: 'x', y1: 'lowest', y2: 'highest', stroke: 'series' },
      ),
      Plot.dot(points, { ...place, fill: 'series', title: nameOf, ariaLabel: nameOf, tip: true }),
    ],
  });
}

const axis = ({ label, percent }: LineChart['x']) => ({ label: percent ? `${label}, %` : label, percent });

function cells({ x, y, cells }: CellChart) {
  const place = { x: 'x', y: 'y' };
  const rows = [...new Set(cells.map((cell) => cell.y))];
  return Plot.plot({
    width,
    marginLeft: Math.max(56, 32 + 6 * Math.max(...rows.map((row) => row.length))),
    padding: 0.04,
    x: { label: x, domain: [...new Set(cells.map((cell) => cell.x))] },
    y: { label: y, domain: rows },
    color: { type: 'linear', domain: [0, 1], scheme: 'greens' },
    marks: [
      Plot.cell(cells, {
        ...place,
        fill: ({ value, of }) => value / of,
        ariaLabel: ({ value, of }) => `${value} of ${of}`,
      }),
      // Black on light cells, white on dark ones, whatever the page's own colours are.
      Plot.text(cells, { ...place, text: 'value', fill: ({ value, of }) => (value / of > 0.6 ? 'white' : 'black') }),
    ],
  });
}

/** What a mark shows, for who points at it or cannot see it. */
function nameOf(item: Bar | LinePoint): string {
  const [name, value] = 'name' in item ? [item.name, item.value] : [`${item.series}, ${item.x}`, item.y];
  const range = item.lowest === undefined ? '' : ` (${short(item.lowest)} to ${short(item.highest ?? 0)})`;
  return `${name}: ${short(value)}${range}`;
}

const short = (value: number): string =>
  Number(value.toPrecision(4)).toLocaleString('en-US', { maximumFractionDigits: 6 });

for (const figure of document.querySelectorAll('figure')) {
  const chart: Chart = JSON.parse(figure.querySelector('script')?.textContent ?? '');
  figure.append(draw(chart));
}
