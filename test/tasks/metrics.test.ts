import t, { type Test } from 'tap';
import { accuracy, f1, pearson, spearman } from '../../src/tasks/metrics.js';

const isNear = (t: Test, found: number, expected: number, tolerance = 1e-12) =>
  t.ok(Math.abs(found - expected) < tolerance, `${found} is ${expected}`);

// Known values are scipy.stats.pearsonr and spearmanr on the same numbers.
const x = [0.1, 2.5, 2.5, -1.0, 4.75, 3.0, 0.1, 0.1];
const y = [0.0, 3.0, 2.0, 0.5, 5.0, 2.0, 1.0, 0.25];

t.test('pearson is that of scipy', async (t) => {
  isNear(t, pearson(x, y), 0.9191227362820358);
  isNear(t, pearson(Float32Array.of(1, 2, 3), [2, 4, 6]), 1);
  isNear(t, pearson([1, 2, 3], [6, 4, 2]), -1);
});

t.test('pearson stands numbers far from zero', async (t) => {
  isNear(
    t,
    pearson(
      x.map((value) => value + 2 ** 20),
      y,
    ),
    0.9191227362820358,
    1e-9,
  );
});

t.test('spearman gives ties the mean of their ranks, as scipy does', async (t) => {
  isNear(t, spearman(x, y), 0.8212380317755189);
  isNear(t, spearman([1, 2, 3, 4], [1, 10, 100, 1000]), 1);
});

t.test('a correlation with a constant is 0, not NaN', async (t) => {
  t.equal(pearson([1, 1, 1], [1, 2, 3]), 0);
  t.equal(spearman([1, 2, 3], [5, 5, 5]), 0);
  t.equal(pearson([1], [2]), 0);
  t.equal(pearson([0.1, 0.1, 0.1], [0.1, 0.1, 0.1]), 0, 'whose rounded mean is another number');
});

t.test('accuracy is the fraction of hits', async (t) => {
  t.equal(accuracy([0, 1, 2, 2], [0, 1, 1, 2]), 0.75);
});

t.test('f1 follows its definition for either label', async (t) => {
  // Label 1: 2 hits, 1 false alarm, 2 misses: precision 2/3, recall 2/4.
  const predictions = [1, 1, 1, 0, 0, 0];
  const labels = [1, 1, 0, 1, 1, 0];
  isNear(t, f1(predictions, labels, 1), (2 * (2 / 3) * (2 / 4)) / (2 / 3 + 2 / 4));
  // Label 0: 1 hit, 2 false alarms, 1 miss: precision 1/3, recall 1/2.
  isNear(t, f1(predictions, labels, 0), (2 * (1 / 3) * (1 / 2)) / (1 / 3 + 1 / 2));
  t.equal(f1([0, 0], [0, 0], 1), 0, 'neither predicted nor true');
});
