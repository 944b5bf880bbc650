import t from 'tap';
import { Random } from '../../src/data/random.js';
import {
  fallingRates,
  geometricRates,
  type PruningFamily,
  randomRates,
  risingThresholds,
} from '../../src/tokens/baselines.js';

const layers = 12;
const hardnesses = ({ hardest }: PruningFamily) => Array.from({ length: 11 }, (_, n) => (hardest * n) / 10);
const pairs = <T>(values: readonly T[]) => values.slice(1).map((value, n) => [values[n] as T, value] as const);
const never = (values: readonly number[], wrong: (before: number, after: number) => boolean) =>
  pairs(values).every(([before, after]) => !wrong(before, after));

t.test('rising thresholds: 0 in the first layer, linear, above every importance at the hardest', async (t) => {
  const family = risingThresholds(layers, 0);
  t.strictSame(family.at(0).values, Array(layers).fill(0));
  for (const hardness of hardnesses(family)) {
    const { rule, values } = family.at(hardness);
    t.equal(rule, 'threshold');
    t.equal(values[0], 0);
    const steps = pairs(values).map(([before, after]) => after - before);
    t.ok(steps.every((step) => Math.abs(step - hardness / layers) < 1e-9));
  }
  t.ok(family.at(family.hardest).values.every((value, layer) => layer === 0 || value >= 1));
  t.strictSame(risingThresholds(1, 0).at(1).values, [0]);
});

t.test('falling rates: the first quarter of the layers is left alone, the others fall linearly', async (t) => {
  const family = fallingRates(layers);
  t.strictSame(family.at(0).values, Array(layers).fill(1));
  for (const hardness of hardnesses(family)) {
    const { rule, values } = family.at(hardness);
    t.equal(rule, 'keepRate');
    t.strictSame(values.slice(0, 3), [1, 1, 1]);
    t.ok(never(values, (before, after) => after > before));
  }
  t.strictSame(family.at(0.9).values.slice(2, 5), [1, 0.9, 0.8]);
  t.ok(
    family
      .at(family.hardest)
      .values.slice(3)
      .every((rate) => rate > 0 && rate < 1e-5),
  );
  t.strictSame(fallingRates(2).at(1).values, [0.5, 1e-6], 'of two layers none is left alone');
});

t.test('geometric rates: every layer loses the same part of what it gets', async (t) => {
  const family = geometricRates(layers);
  t.strictSame(family.at(0).values, Array(layers).fill(1));
  const { rule, values } = family.at(0.25);
  t.equal(rule, 'keepRate');
  t.equal(values[0], 0.75);
  t.ok(pairs(values).every(([before, after]) => Math.abs(after / before - 0.75) < 1e-9));
  t.ok(family.at(family.hardest).values.every((rate) => rate > 0 && rate < 1e-5));
});

for (const [name, family, sign] of [
  ['rising thresholds', risingThresholds(layers, 0), 1],
  ['falling rates', fallingRates(layers), -1],
  ['geometric rates', geometricRates(layers), -1],
] as const) {
  t.test(`${name}: harder prunings are harder in every layer`, async (t) => {
    const members = hardnesses(family).map((hardness) => family.at(hardness).values);
    for (const layer of Array(layers).keys()) {
      const own = members.map((values) => sign * (values[layer] as number));
      t.ok(
        never(own, (before, after) => after < before),
        `layer ${layer}`,
      );
    }
  });
}

t.test('random rates never rise, and LengthDrop at its most leaves 0.8^12 of the tokens', async (t) => {
  for (const depth of [2, 4, 12, 24]) {
    const draws = Array.from({ length: 200 }, (_, seed) => randomRates(depth, new Random(seed)));
    t.ok(draws.every(({ rule, values }) => rule === 'keepRate' && values.length === depth));
    t.ok(draws.every(({ values }) => never([1, ...values], (before, after) => after > before)));
    const lasts = draws.map(({ values }) => values.at(-1) as number);
    t.ok(Math.min(...lasts) >= 0.8 ** 12 && Math.max(...lasts) <= 1, `${depth} layers`);
  }
});

t.test('random rates depend on the seed alone', async (t) => {
  const draw = (seed: number) => randomRates(layers, new Random(seed)).values;
  t.strictSame(draw(3), draw(3));
  t.strictNotSame(draw(3), draw(4));
  t.strictNotSame(draw(3), draw(2 ** 32 + 3));
});
