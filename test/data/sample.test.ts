import t from 'tap';
import { Random } from '../../src/data/random.js';
import { sampleIndices, weightedIndices } from '../../src/data/sample.js';

t.test('the generator gives the sequence of its definition', async (t) => {
  // From a separate implementation of the published definitions.
  for (const [seed, expected] of [
    [0, [3809008728, 1133695204, 53579671, 2891528803, 139681546, 2203266335]],
    [1, [2639375342, 3274559122, 3467335147, 824295497, 1770530429, 4078315478]],
    [2 ** 40 + 7, [2662472497, 3581295537, 1708777698, 1748188176, 3662355306, 2843256590]],
  ] as const) {
    const random = new Random(seed);
    t.same(
      Array.from(expected, () => random.next()),
      expected,
      `seed ${seed}`,
    );
  }
});

t.test('numbers below a limit are uniform', async (t) => {
  const random = new Random(5);
  const counts = new Int32Array(6);
  for (let i = 0; i < 60_000; i++) counts[random.below(6)]++;
  // Chi-squared of 5 degrees of freedom: 20.5 is exceeded once in a thousand.
  t.ok(counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0) < 20.5, counts.join());
});

t.test('no limit favours the small numbers', async (t) => {
  // Without rejection, 3/4 of the range maps to the lower half of this limit twice as often.
  const limit = 3 * 2 ** 30;
  const random = new Random(6);
  let low = 0;
  for (let i = 0; i < 20_000; i++) if (random.below(limit) < limit / 3) low++;
  t.ok(Math.abs(low - 20_000 / 3) < 4 * Math.sqrt(20_000 * (1 / 3) * (2 / 3)), `${low}`);
});

t.test('a seed fixes the sample on every machine, another one changes it', async (t) => {
  const sample = sampleIndices(3668, 2048, 0);
  t.same(sample.slice(0, 6), Int32Array.of(3472, 768, 1195, 387, 438, 1439));
  t.not(sample.join(), sampleIndices(3668, 2048, 1).join());
  t.ok(sample.every((index) => index >= 0 && index < 3668));
});

t.test('samples are drawn with replacement', async (t) => {
  t.same(sampleIndices(1, 3, 0), Int32Array.of(0, 0, 0));
  t.ok(new Set(sampleIndices(3668, 2048, 0)).size < 2048);
});

t.test('weighted samples are different ones, all where there are no more', async (t) => {
  const weights = Array.from({ length: 50 }, (_, index) => index);
  const sample = weightedIndices(weights, 20, 3);
  t.equal(new Set(sample).size, 20);
  t.same(sample, weightedIndices(weights, 20, 3));
  t.not(sample.join(), weightedIndices(weights, 20, 4).join());
  t.same(weightedIndices([3, 0, 9], 5, 0), Int32Array.of(0, 1, 2));
});

t.test('the chance of being drawn is in proportion to the weight', async (t) => {
  const counts = new Int32Array(3);
  const draws = 20_000;
  for (let seed = 0; seed < draws; seed++) counts[weightedIndices([1, 3, 6], 1, seed)[0] as number]++;
  for (const [index, chance] of [0.1, 0.3, 0.6].entries()) {
    const deviation = Math.sqrt(draws * chance * (1 - chance));
    t.ok(Math.abs((counts[index] as number) - draws * chance) < 4 * deviation, `${counts.join()}`);
  }
});

t.test('impossible samples are refused', async (t) => {
  t.throws(() => sampleIndices(0, 8, 0), { code: 'ERR_DATA' });
  t.throws(() => sampleIndices(8, 0, 0), { code: 'ERR_INVALID_ARGUMENT' });
  t.throws(() => weightedIndices([], 8, 0), { code: 'ERR_DATA' });
  t.throws(() => weightedIndices([1], 0, 0), { code: 'ERR_INVALID_ARGUMENT' });
  for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) {
    t.throws(() => sampleIndices(8, 8, seed), { code: 'ERR_INVALID_ARGUMENT', message: /seed/ });
  }
});
