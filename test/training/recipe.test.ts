import t from 'tap';
import { linearSchedule } from '../../src/training/recipe.js';

/** get_linear_schedule_with_warmup of transformers: 0 at the first step of a warm-up. */
const transformers = (step: number, steps: number, warmup: number) =>
  step < warmup ? step / warmup : (steps - step) / Math.max(1, steps - warmup);
const stepsOf = (steps: number) => Array.from({ length: steps }, (_, step) => step);

t.test('after the warm-up the schedule is that of transformers', async (t) => {
  for (const [steps, warmup] of [
    [10, 0],
    [100, 0.1],
    [7, 0.5],
  ] as const) {
    const rising = Math.floor(steps * warmup);
    for (const step of stepsOf(steps).slice(rising)) {
      t.equal(linearSchedule(step, steps, warmup), transformers(step, steps, rising), `${step} of ${steps}`);
    }
  }
});

t.test('in the warm-up it is ahead of theirs by less than a step, so that no step is lost', async (t) => {
  const [steps, warmup, rising] = [100, 0.2, 20];
  for (const step of stepsOf(rising)) {
    const factor = linearSchedule(step, steps, warmup);
    t.equal(factor, (step + 1) / (rising + 1));
    t.ok(factor > transformers(step, steps, rising) && factor < transformers(step + 1, steps, rising), `step ${step}`);
  }
});

t.test('it rises to 1 once and stays above 0', async (t) => {
  for (const [steps, warmup] of [
    [1, 0.1],
    [1, 0.99],
    [40, 0.25],
    [40, 0.99],
  ] as const) {
    const factors = stepsOf(steps).map((step) => linearSchedule(step, steps, warmup));
    t.ok(
      factors.every((factor) => factor > 0 && factor <= 1),
      `${steps} steps, ${warmup}`,
    );
    t.strictSame(
      factors.flatMap((factor, step) => (factor === 1 ? [step] : [])),
      [Math.floor(steps * warmup)],
    );
  }
});
