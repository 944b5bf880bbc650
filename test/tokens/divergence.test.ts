import t from 'tap';
import { divergence } from '../../src/tokens/divergence.js';

const softmax = (logits: readonly number[]) => {
  const powers = logits.map(Math.exp);
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
};
const relativeEntropy = (before: readonly number[], after: readonly number[]) => {
  const [p, q] = [softmax(before), softmax(after)];
  return p.reduce((sum, share, i) => sum + share * Math.log(share / (q[i] as number)), 0);
};
const near = (actual: number, expected: number) => Math.abs(actual - expected) < 1e-6;
const floats = (rows: readonly (readonly number[])[]) => Float32Array.from(rows.flat());
const sequences = (...offsets: number[]) => ({ offsets: Int32Array.from(offsets) });

t.test('of classes: the mean relative entropy of the distributions', async (t) => {
  const before = [
    [1, 2, -1],
    [0, 0, 3],
  ] as const;
  const after = [
    [2, 1, 0],
    [0.5, -0.5, 2],
  ] as const;
  const expected = (relativeEntropy(before[0], after[0]) + relativeEntropy(before[1], after[1])) / 2;
  t.ok(near(divergence(floats(before), floats(after), 'crossEntropy', sequences(0, 7, 9)), expected));
  const shifted = before.map((row) => row.map((logit) => logit + 5));
  t.ok(near(divergence(floats(before), floats(shifted), 'crossEntropy', sequences(0, 7, 9)), 0));
});

t.test('of values: the mean squared difference', async (t) => {
  const [before, after] = [Float32Array.of(1, 2, 3), Float32Array.of(1.5, 2, 1)];
  t.equal(divergence(before, after, 'meanSquared', sequences(0, 4, 5, 9)), (0.25 + 4) / 3);
});

t.test('of spans: over the tokens of each sequence, start and end counting half', async (t) => {
  const before = [
    [1, 0],
    [2, -1],
    [0, 3],
    [4, 4],
    [1, 2],
  ];
  const after = [
    [0, 1],
    [2, 0],
    [0.5, 3],
    [4, 0],
    [2, 2],
  ];
  const half = (end: number, first: number, last: number) => {
    const [p, q] = [before, after].map((rows) => rows.slice(first, last).map((row) => row[end] as number));
    return relativeEntropy(p as number[], q as number[]) / 2;
  };
  const one = (first: number, last: number) => half(0, first, last) + half(1, first, last);
  t.ok(near(divergence(floats(before), floats(after), 'span', sequences(0, 3, 5)), (one(0, 3) + one(3, 5)) / 2));
});

t.test('equal logits, however large, have none', async (t) => {
  const logits = Float32Array.of(1000, -1000, 300, 2, 5, -7, 0, 88);
  for (const loss of ['crossEntropy', 'meanSquared', 'span'] as const) {
    t.equal(divergence(logits, logits, loss, sequences(0, 1, 4)), 0, loss);
  }
});
