import t from 'tap';
import { Random } from '../../src/data/random.js';
import type { CostModel } from '../../src/prune/cost.js';
import { searchUnderCosts } from '../../src/prune/search-costs.js';

const layers = [
  { heads: 3, neurons: 48 },
  { heads: 2, neurons: 32 },
];
/** Two heads for the price of one; neurons by their number, with a price for having any. */
const costs: CostModel = {
  of: (_layer, sublayer, units) => (units === 0 ? 0 : sublayer === 'attention' ? 100 * Math.max(2, units) : 20 + units),
  budget: (keep) => keep * (300 + 68 + 200 + 52),
};
const count = (mask: Float32Array, start: number, end: number) =>
  mask.subarray(start, end).reduce((sum, value) => sum + value, 0);
const widths = ({ heads, neurons }: { heads: Float32Array; neurons: Float32Array }) =>
  [
    ['attention', count(heads, 0, 3)],
    ['ffn', count(neurons, 0, 48)],
    ['attention', count(heads, 3, 5)],
    ['ffn', count(neurons, 48, 80)],
  ] as const;

t.test('no mask of the same cost keeps more importance', async (t) => {
  const random = new Random(3);
  const values = (length: number) => Float64Array.from({ length }, () => random.next() / 2 ** 32);
  for (let round = 0; round < 20; round++) {
    const importance = { heads: values(5), neurons: values(80) };
    const keep = 0.1 + (0.8 * round) / 20;
    const mask = searchUnderCosts(importance, layers, costs, keep);
    const spent = widths(mask).reduce((sum, [sublayer, units]) => sum + costs.of(0, sublayer, units), 0);
    t.ok(spent <= costs.budget(keep), `${spent} of ${costs.budget(keep)}`);

    const kept = (mask: Float32Array, all: Float64Array) =>
      mask.reduce((sum, value, unit) => sum + value * (all[unit] as number), 0);
    const found = kept(mask.heads, importance.heads) + kept(mask.neurons, importance.neurons);
    const most = (all: Float64Array, units: number) =>
      all
        .toSorted((a, b) => b - a)
        .subarray(0, units)
        .reduce((sum, value) => sum + value, 0);
    let best = 0;
    for (const a of [0, 1, 2, 3]) {
      for (const b of [0, 16, 32, 48]) {
        for (const c of [0, 1, 2]) {
          for (const d of [0, 16, 32]) {
            const cost =
              costs.of(0, 'attention', a) + costs.of(0, 'ffn', b) + costs.of(1, 'attention', c) + costs.of(1, 'ffn', d);
            // The grid rounds costs up by at most 4/16,384 of the budget.
            if (cost > (1 - 4 / 16384) * costs.budget(keep)) continue;
            const sum =
              most(importance.heads.subarray(0, 3), a) +
              most(importance.neurons.subarray(0, 48), b) +
              most(importance.heads.subarray(3), c) +
              most(importance.neurons.subarray(48), d);
            best = Math.max(best, sum);
          }
        }
      }
    }
    t.ok(found >= best - 1e-9, `${found} of ${best}`);
  }
});

t.test('what is free is kept, and equal units go from the last on', async (t) => {
  const importance = { heads: new Float64Array(5).fill(1), neurons: new Float64Array(80) };
  const mask = searchUnderCosts(importance, layers, costs, 200 / 620);
  t.equal(count(mask.heads, 0, 5), 2, 'two heads cost as much as one');
  const above = { ...importance, heads: Float64Array.of(1, 1, 1, 0.1, 0.1) };
  t.strictSame([...searchUnderCosts(above, layers, costs, 200 / 620).heads], [1, 1, 0, 0, 0]);
});

t.test('everything is kept where everything may be', async (t) => {
  const importance = { heads: new Float64Array(5), neurons: new Float64Array(80) };
  const mask = searchUnderCosts(importance, layers, costs, 1);
  t.equal(count(mask.heads, 0, 5) + count(mask.neurons, 0, 80), 85);
});
