import t from 'tap';
import { LearnedThresholds } from '../../src/tokens/learned-thresholds.js';

const settings = { temperature: 2e-3, learningRate: 5e-4, paddedLength: 0 };
const rising = (layers: number) => Array.from({ length: layers }, (_, layer) => (0.01 * layer) / layers);
const gradients = (...values: number[]) => ({
  thresholdGradients: Float64Array.from(values),
  meanMasks: Float64Array.from(values, () => 0),
});
const near = (actual: number | undefined, expected: number) => Math.abs((actual ?? Number.NaN) - expected) < 1e-9;

t.test('thresholds begin with what they are given', async (t) => {
  const thresholds = new LearnedThresholds(settings, rising(4));
  t.strictSame(thresholds.pruning, { rule: 'threshold', values: [0, 0.0025, 0.005, 0.0075] });
  const { sparsity, ...soft } = thresholds.soft(0.2);
  t.strictSame(soft, { values: [0, 0.0025, 0.005, 0.0075], temperature: 2e-3 });
  t.ok(
    sparsity.every((weight, layer) => near(weight, (0.2 * (4 - layer)) / 4)),
    'as if every token went on',
  );
});

t.test('importance is a mean over what the settings say, softly and when tokens are dropped', async (t) => {
  const padded = new LearnedThresholds({ ...settings, paddedLength: 40 }, rising(2));
  t.equal(padded.soft(1).paddedLength, 40);
  t.equal(padded.pruning.paddedLength, 40);
});

t.test('the weight of a mask is the derivative of the work that the masks leave', async (t) => {
  const thresholds = new LearnedThresholds(settings, rising(4));
  const masks = [0.9, 0.5, 0.2, 1];
  // The last layer judges no tokens: it has no masks.
  thresholds.learn({ ...gradients(0, 0, 0, 0), meanMasks: Float64Array.from([3.6, 2, 0.8, 0]) }, 4, 1);
  const work = (own: number[]) =>
    own.reduce((sum, _, layer) => sum + own.slice(0, layer + 1).reduce((a, b) => a * b), 0) / 4;
  for (const [layer, weight] of thresholds.soft(3).sparsity.entries()) {
    const moved = masks.with(layer, (masks[layer] as number) + 1);
    t.ok(near(weight, 3 * (work(moved) - work(masks))), `${layer}: ${weight}`);
  }
});

t.test('steps are those of Adam on the mean gradient, as computed by hand', async (t) => {
  const thresholds = new LearnedThresholds(settings, rising(2));
  const value = () => thresholds.state.values[1];
  t.equal(value(), 0.005);
  // The bias corrections make the first step the learning rate itself, whatever the size of the gradient.
  thresholds.learn(gradients(0, -8), 4, 1);
  t.ok(near(value(), 0.005 + 5e-4), `${value()}`);
  // Moments -0.08 / 0.19 and 0.004996 / 0.001999: of the learning rate 0.42105263 / 1.58090177.
  thresholds.learn(gradients(0, 4), 4, 1);
  t.ok(near(value(), 0.005 + 5e-4 * (1 + 0.26633704)), `${value()}`);
  // Moments -0.072 / 0.271 and 0.004991004 / 0.002997001, at half the learning rate.
  thresholds.learn(gradients(0, 0), 4, 0.5);
  t.ok(near(value(), 0.005 + 5e-4 * (1 + 0.26633704 + 0.5 * 0.2058793)), `${value()}`);
  t.equal(thresholds.state.steps, 3);
});

t.test('a threshold that no gradient moves stays, and none falls to 0, as multiples shall drop tokens', async (t) => {
  const thresholds = new LearnedThresholds(settings, rising(3));
  const [, , untouched] = thresholds.state.values;
  for (let step = 0; step < 20; step++) thresholds.learn(gradients(1, 1, 0), 1, 1);
  t.strictSame(thresholds.state.values, [1e-6, 1e-6, untouched]);
  thresholds.learn(gradients(-100, -100, 0), 1, 1);
  t.ok((thresholds.state.values[0] as number) > 1e-6, 'and may rise again');
});

t.test('learning goes on from a state as if it had never stopped', async (t) => {
  const steps = [gradients(3, -1), gradients(-2, -4), gradients(0.5, 1)] as const;
  const whole = new LearnedThresholds(settings, rising(2));
  for (const step of steps) whole.learn(step, 2, 1);

  const first = new LearnedThresholds(settings, rising(2));
  first.learn(steps[0], 2, 1);
  const second = new LearnedThresholds(settings, rising(2));
  second.state = JSON.parse(JSON.stringify(first.state));
  for (const step of steps.slice(1)) second.learn(step, 2, 1);
  t.strictSame(second.state, whole.state);
});

t.test('what is handed out is a copy', async (t) => {
  const thresholds = new LearnedThresholds(settings, rising(2));
  const before = thresholds.state;
  for (const values of [thresholds.state.values, thresholds.soft(1).values, thresholds.pruning.values]) {
    (values as number[]).fill(7);
  }
  const given = thresholds.state;
  thresholds.state = given;
  given.values.fill(7);
  t.strictSame(thresholds.state, before);
});
