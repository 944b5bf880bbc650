import t from 'tap';
import { Random } from '../../src/data/random.js';
import { fisherGradients } from '../../src/prune/label-free.js';

const draws = 20_000;
const single = { offsets: Int32Array.of(0, 1) };

/** The mean over draws of each pair of gradients' product. */
function secondMoment(draw: () => Float32Array): number[][] {
  const sums: number[][] = [];
  for (let i = 0; i < draws; i++) {
    const gradients = draw();
    for (const [a, x] of gradients.entries()) {
      sums[a] ??= new Array(gradients.length).fill(0);
      for (const [b, y] of gradients.entries()) (sums[a] as number[])[b] += (x * y) / draws;
    }
  }
  return sums;
}

/** diag(p) - p p' */
function fisher(logits: readonly number[]): number[][] {
  const powers = logits.map(Math.exp);
  const sum = powers.reduce((a, b) => a + b, 0);
  const p = powers.map((power) => power / sum);
  return p.map((x, a) => p.map((y, b) => (a === b ? x : 0) - x * y));
}

function expectNear(
  t: Pick<typeof import('tap')['default'], 'ok'>,
  found: number[][],
  expected: number[][],
  tolerance: number,
): void {
  for (const [a, row] of expected.entries()) {
    for (const [b, value] of row.entries()) {
      t.ok(Math.abs((found[a]?.[b] as number) - value) < tolerance, `${a}, ${b}: ${found[a]?.[b]} for ${value}`);
    }
  }
}

t.test('two classes: every draw is the exact root', async (t) => {
  for (const logits of [
    [0, 0],
    [2, -3],
    [-40, 40],
  ]) {
    const [a, b] = fisherGradients(Float32Array.from(logits), 'crossEntropy', single, new Random(1));
    expectNear(
      t,
      [
        [a ** 2, a * b],
        [a * b, b ** 2],
      ],
      fisher(logits),
      1e-6,
    );
  }
});

t.test('several classes: the second moment over the signs is the Fisher matrix', async (t) => {
  const logits = [1, -1, 0.5, 2];
  const random = new Random(2);
  const found = secondMoment(() => fisherGradients(Float32Array.from(logits), 'crossEntropy', single, random));
  expectNear(t, found, fisher(logits), 0.01);
});

t.test('spans: start and end of each sequence are distributions of their own', async (t) => {
  // Two sequences of three and one tokens.
  const logits = Float32Array.of(1, 0, -1, 2, 0, 0.5, 7, 7);
  const random = new Random(3);
  const found = secondMoment(() => fisherGradients(logits, 'span', { offsets: Int32Array.of(0, 3, 4) }, random));
  const expected = Array.from({ length: 8 }, () => new Array<number>(8).fill(0));
  for (const [end, values] of [
    [1, -1, 0],
    [0, 2, 0.5],
  ].entries()) {
    for (const [a, row] of fisher(values).entries()) {
      for (const [b, value] of row.entries()) (expected[2 * a + end] as number[])[2 * b + end] = value;
    }
  }
  expectNear(t, found, expected, 0.01);
});

t.test('values: an error of each counts the same', async (t) => {
  t.same(
    fisherGradients(Float32Array.of(3, -2), 'meanSquared', { offsets: Int32Array.of(0, 4, 9) }, new Random(0)),
    Float32Array.of(1, 1),
  );
});

t.test('a distribution that is certain, even beyond what a float holds, has no gradient', async (t) => {
  const gradients = fisherGradients(Float32Array.of(900, -900, -800), 'crossEntropy', single, new Random(0));
  t.same(gradients.map(Math.abs), new Float32Array(3));
});

t.test('however certain a distribution is, its gradients are numbers', async (t) => {
  for (let gap = 10; gap < 800; gap += 10) {
    const gradients = fisherGradients(Float32Array.of(0, -gap, -gap - 0.5), 'crossEntropy', single, new Random(0));
    t.ok(gradients.every(Number.isFinite), `${gap}: ${gradients}`);
  }
});
