import t from 'tap';
import { Random } from '../../src/data/random.js';
import { allocate, type Choices, choicesOf } from '../../src/prune/allocate.js';
import type { CostModel } from '../../src/prune/cost.js';

const curve = (sublayer: 'attention' | 'ffn', errors: number[]) => ({
  layer: 0,
  sublayer,
  order: Int32Array.from(errors.keys()),
  errors: Float64Array.from(errors),
});

const perUnit = (cost: number): CostModel => ({
  of: (_layer, _sublayer, units) => cost * units,
  budget: () => 0,
});

t.test('choices are all numbers of heads, and whole steps of neurons', async (t) => {
  t.strictSame(choicesOf(curve('attention', [1, 3, 7]), perUnit(10)), {
    removed: [0, 1, 2, 3],
    costs: [30, 20, 10, 0],
    errors: [0, 1, 3, 7],
  });
  const errors = Array.from({ length: 37 }, (_, index) => index + 1);
  t.strictSame(choicesOf(curve('ffn', errors), perUnit(2)), {
    removed: [0, 5, 21, 37],
    costs: [74, 64, 32, 0],
    errors: [0, 5, 21, 37],
  });
  t.strictSame(
    choicesOf(curve('ffn', []), perUnit(2)),
    { removed: [0], costs: [0], errors: [0] },
    'nothing left to lose',
  );
});

t.test('the sum of errors is the smallest that any allocation within the budget has', async (t) => {
  const random = new Random(7);
  for (let round = 0; round < 60; round++) {
    // Costs of whole grid steps: the budget is 1/16,384 a step.
    const sublayers: Choices[] = Array.from({ length: 4 }, () => {
      const count = 1 + random.below(5);
      const costs = Array.from({ length: count }, (_, i) => (i === count - 1 ? 0 : random.below(9000)));
      return { removed: [...costs.keys()], costs, errors: costs.map(() => random.below(1000)) };
    });
    const sums = (picked: number[], values: 'costs' | 'errors') =>
      picked.reduce((sum, choice, i) => sum + (sublayers[i]?.[values][choice] as number), 0);
    let least = Number.POSITIVE_INFINITY;
    const visit = (picked: number[]): void => {
      const sublayer = sublayers[picked.length];
      if (sublayer !== undefined) {
        for (const choice of sublayer.costs.keys()) visit([...picked, choice]);
      } else if (sums(picked, 'costs') <= 16384) least = Math.min(least, sums(picked, 'errors'));
    };
    visit([]);
    const found = allocate(sublayers, 16384);
    t.ok(sums(found, 'costs') <= 16384);
    t.equal(sums(found, 'errors'), least);
  }
});

t.test('costs off the grid never exceed the budget', async (t) => {
  const sublayers = Array.from({ length: 24 }, (_, i) =>
    choicesOf(
      curve(
        'ffn',
        Array.from({ length: 300 }, (_, unit) => (unit + 1) ** 2 / (i + 1)),
      ),
      perUnit(Math.PI),
    ),
  );
  for (const budget of [1, 100.5, 5000.3, 20_000]) {
    const found = allocate(sublayers, budget);
    const cost = found.reduce((sum, choice, i) => sum + (sublayers[i]?.costs[choice] as number), 0);
    t.ok(cost <= budget, `${cost} of ${budget}`);
    const mostRoundedUp = (24 * budget) / 16_384; // Each sub-layer's cost, to the next step of the budget's grid.
    t.ok(budget - cost < 16 * Math.PI + mostRoundedUp, `${budget - cost} of ${budget} left over`);
  }
});

t.test('a budget that nothing fits is an error, a budget of nothing keeps what costs nothing', async (t) => {
  const fixed = { removed: [0], costs: [5], errors: [0] };
  t.throws(() => allocate([fixed, fixed], 9), { code: 'ERR_TARGET' });
  t.same(allocate([fixed, fixed], 10), [0, 0]);
  t.same(allocate([{ removed: [0], costs: [0], errors: [0] }], 0), [0]);
});
