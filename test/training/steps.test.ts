import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import type { OptimizerStep, ParameterState } from '../../src/native/addon.js';
import { Training } from '../../src/native/training.js';
import type { LabelledSequences } from '../../src/tasks/calibration.js';
import { defaultRecipe, linearSchedule } from '../../src/training/recipe.js';
import { stepsPerEpoch, type TrainingStep, trainingSteps } from '../../src/training/steps.js';
import { openModel } from '../model/support/golden.js';
import { goldenSequences } from './support/golden-sequences.js';
import { statesOf } from './support/states.js';

const loss = 'crossEntropy' as const;
const recipe = { ...defaultRecipe, epochs: 3, batch: 4, warmup: 0.2 };

/** Steps of a training that learns nothing, with what it was asked for. */
async function recordedSteps(seed: number, from = 0, count = 10) {
  const [drawn, passSeeds, asked]: [number[][], number[], OptimizerStep[]] = [[], [], []];
  const data = {
    count,
    take: (indices: Iterable<number>) => {
      const own = [...indices];
      drawn.push(own);
      return { batch: { ids: new Int32Array(5 * own.length), offsets: new Int32Array(own.length + 1) } };
    },
  } as unknown as LabelledSequences;
  const training = {
    accumulate: async (...[, , , options]: Parameters<Training['accumulate']>) => {
      passSeeds.push(options?.seed as number);
      return {};
    },
    step: async (options: OptimizerStep) => asked.push(options),
  } as unknown as Training;
  const steps: TrainingStep[] = [];
  for await (const step of trainingSteps(training, data, { loss, recipe, seed, from })) steps.push(step);
  const epochs = Array.from({ length: recipe.epochs }, (_, epoch) =>
    drawn.filter((_, n) => (steps[n] as TrainingStep).epoch === epoch).flat(),
  );
  return { drawn, passSeeds, asked, steps, epochs };
}

t.test('every sequence is learnt from once an epoch, in another order each time', async (t) => {
  const { epochs, drawn } = await recordedSteps(0);
  const all = Array.from({ length: 10 }, (_, index) => index);
  for (const order of epochs) {
    t.strictSame(
      order.toSorted((a, b) => a - b),
      all,
    );
  }
  t.equal(new Set([all, ...epochs].map(String)).size, 4);
  t.strictSame(
    drawn.map(({ length }) => length),
    [4, 4, 2, 4, 4, 2, 4, 4, 2],
  );
});

t.test('the order and the dropout depend on the seed alone', async (t) => {
  const [first, again, other] = [await recordedSteps(1), await recordedSteps(1), await recordedSteps(2)];
  t.strictSame(again, first);
  t.strictNotSame(other.drawn, first.drawn);
  t.equal(new Set([...first.passSeeds, ...other.passSeeds]).size, 18, 'another dropout in every step');
});

t.test('steps say where they are, and follow the schedule', async (t) => {
  const { steps, asked } = await recordedSteps(0);
  t.equal(stepsPerEpoch(10, recipe), 3);
  t.strictSame(
    steps.map(({ step, steps: all, epoch, endsEpoch }) => [step, all, epoch, endsEpoch]),
    Array.from({ length: 9 }, (_, n) => [n + 1, 9, Math.floor(n / 3), n % 3 === 2]),
  );
  t.strictSame(
    steps.map(({ sequences, tokens }) => [sequences, tokens]),
    [4, 4, 2, 4, 4, 2, 4, 4, 2].map((sequences) => [sequences, 5 * sequences]),
  );
  for (const [n, step] of asked.entries()) {
    const factor = linearSchedule(n, 9, recipe.warmup);
    t.equal(steps[n]?.factor, factor);
    const { weightDecay, maxGradientNorm, learningRate } = recipe;
    const gradientScale = 1 / (steps[n]?.sequences as number);
    t.strictSame(step, { learningRate: learningRate * factor, weightDecay, maxGradientNorm, gradientScale });
  }
});

t.test('steps that were taken earlier are left out, the others are the same', async (t) => {
  const { drawn, passSeeds, asked, steps } = await recordedSteps(3);
  for (const from of [1, 3, 8, 9]) {
    const rest = await recordedSteps(3, from);
    t.strictSame(rest.drawn, drawn.slice(from), `from ${from}`);
    t.strictSame(rest.passSeeds, passSeeds.slice(from));
    t.strictSame(rest.asked, asked.slice(from));
    t.strictSame(rest.steps, steps.slice(from));
  }
});

t.test('a training that goes on from its state is to the bit one that never stopped', async (t) => {
  using model = await openModel('gelu', { mode: 'inference' });
  const data = goldenSequences('gelu');
  const options = { loss, seed: 1, recipe: { ...defaultRecipe, epochs: 2, batch: 2, learningRate: 1e-3 } };
  const stop = stepsPerEpoch(data.count, options.recipe) + 1;

  using whole = await Training.start(model);
  const losses: number[][] = [];
  let [stopped, rest]: [Record<string, ParameterState>, number[][]] = [{}, []];
  for await (const { step, result } of trainingSteps(whole, data, options)) {
    losses.push([...result.losses]);
    if (step === stop) stopped = await statesOf(whole, model.spec);
  }
  t.ok(losses.length > stop + 1);

  using resumed = await Training.start(model);
  await resumed.restore(stopped, stop);
  for await (const { result } of trainingSteps(resumed, data, { ...options, from: stop }))
    rest.push([...result.losses]);
  t.strictSame(rest, losses.slice(stop));
  t.ok(isDeepStrictEqual(await statesOf(resumed, model.spec), await statesOf(whole, model.spec)));

  rest = [];
  using forgetful = await Training.start(model);
  for await (const { result } of trainingSteps(forgetful, data, { ...options, from: stop }))
    rest.push([...result.losses]);
  t.strictNotSame(rest, losses.slice(stop), 'the state is what makes it so');
});

t.test('an abort ends the steps', async (t) => {
  using model = await openModel('gelu', { mode: 'inference' });
  using training = await Training.start(model);
  const abort = new AbortController();
  const taken: number[] = [];
  const run = async () => {
    const options = { loss, recipe, seed: 0, signal: abort.signal };
    for await (const { step } of trainingSteps(training, goldenSequences('gelu'), options)) {
      taken.push(step);
      if (step === 2) abort.abort();
    }
  };
  await t.rejects(run(), { code: 'ERR_CANCELLED' });
  t.strictSame(taken, [1, 2]);
});
