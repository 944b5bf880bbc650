import t from 'tap';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { newHead } from '../../src/training/new-head.js';
import { goldenCheckpoint } from '../model/support/golden.js';
import { sentimentMini } from '../support/paths.js';

const { spec } = await readCheckpoint(sentimentMini);

t.test('a head of matrices with a deviation of 0.02 and of biases that are 0', async (t) => {
  const head = newHead(spec, 0);
  const sizes = Object.fromEntries(Object.entries(head).map(([role, { length }]) => [role, length]));
  const { hiddenSize: hidden, labels } = spec;
  t.strictSame(sizes, {
    'pooler.weight': hidden ** 2,
    'pooler.bias': hidden,
    'classifier.weight': labels * hidden,
    'classifier.bias': labels,
  });
  for (const role of ['pooler.bias', 'classifier.bias']) t.ok(head[role]?.every((value) => value === 0));
  for (const role of ['pooler.weight', 'classifier.weight']) {
    const values = head[role] as Float32Array;
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    // Five standard errors of either.
    const slack = (5 * 0.02) / Math.sqrt(values.length);
    t.ok(Math.abs(mean) < slack, `${role}: mean ${mean}`);
    t.ok(Math.abs(deviation - 0.02) < slack, `${role}: deviation ${deviation}`);
  }
});

t.test('its tails are those of a normal distribution', async (t) => {
  const values = newHead(spec, 0)['pooler.weight'] as Float32Array;
  const within = (deviations: number) =>
    values.filter((value) => Math.abs(value) < deviations * 0.02).length / values.length;
  t.ok(Math.abs(within(1) - 0.6827) < 0.01, `${within(1)}`);
  t.ok(Math.abs(within(2) - 0.9545) < 0.01, `${within(2)}`);
});

t.test('it depends on the seed alone', async (t) => {
  const weights = (seed: number) => Buffer.from((newHead(spec, seed)['pooler.weight'] as Float32Array).buffer);
  t.ok(weights(5).equals(weights(5)));
  t.notOk(weights(5).equals(weights(6)));
});

t.test('of a span head, which has no pooler, the classifier alone', async (t) => {
  const { spec: span } = await goldenCheckpoint('bert-span');
  t.strictSame(Object.keys(newHead(span, 0)), ['classifier.weight', 'classifier.bias']);
});
