import { Random } from '../data/random.js';
import type { LossKind, PassResult } from '../native/addon.js';
import { throwIfAborted } from '../native/cancel.js';
import type { PassOptions, Training } from '../native/training.js';
import type { LabelledSequences } from '../tasks/calibration.js';
import { linearSchedule, type Recipe } from './recipe.js';

/** A pass's seed is made of the training's, of two stages at most, and of the step's number: all have room in 53 bits. */
export const highestSeed = 2 ** 20 - 1;

export interface StageOptions {
  loss: LossKind;
  recipe: Recipe;
  /** Of the order of the data and of the dropout; stages that follow one another have different ones. */
  seed: number;
  /** The first step to take: those before were taken earlier. */
  from?: number | undefined;
  /** What the next pass is to do beside learning from the labels. */
  pass?: (() => Pick<PassOptions, 'pruning' | 'soft' | 'distillation'>) | undefined;
  signal?: AbortSignal | undefined;
}

/** One step that was taken. */
export interface TrainingStep {
  /** Counted from 1 within the stage. */
  step: number;
  steps: number;
  /** Counted from 0; `endsEpoch` at its last step. */
  epoch: number;
  endsEpoch: boolean;
  sequences: number;
  tokens: number;
  /** What the learning rate was multiplied with. */
  factor: number;
  result: PassResult;
}

export const stepsPerEpoch = (sequences: number, { batch }: Pick<Recipe, 'batch'>): number =>
  Math.ceil(sequences / batch);

/**
 * Takes the steps of one stage of training, each when the next value is asked for. The same seed takes the same steps,
 * whether or not they are interrupted.
 *
 * @throws EspalierError ERR_NON_FINITE where training went astray, ERR_CANCELLED
 */
export async function* trainingSteps(
  training: Training,
  data: LabelledSequences,
  { loss, recipe, seed, from = 0, pass = () => ({}), signal }: StageOptions,
): AsyncGenerator<TrainingStep> {
  const { epochs, batch, learningRate, warmup, weightDecay, maxGradientNorm, dropout } = recipe;
  const perEpoch = stepsPerEpoch(data.count, recipe);
  const steps = epochs * perEpoch;
  for (let epoch = Math.floor(from / perEpoch); epoch < epochs; epoch++) {
    const order = shuffled(data.count, new Random(seed * 1000 + epoch));
    for (let step = Math.max(from, epoch * perEpoch); step < (epoch + 1) * perEpoch; step++) {
      throwIfAborted(signal);
      const first = (step - epoch * perEpoch) * batch;
      const { batch: packed, labels } = data.take(order.subarray(first, first + batch));
      const sequences = packed.offsets.length - 1;
      const options = { ...pass(), dropout, seed: seed * 2 ** 32 + step, signal };
      const result = await training.accumulate(packed, labels, loss, options);
      const factor = linearSchedule(step, steps, warmup);
      await training.step({
        learningRate: learningRate * factor,
        weightDecay,
        maxGradientNorm,
        gradientScale: 1 / sequences,
      });
      const endsEpoch = step + 1 === (epoch + 1) * perEpoch;
      yield { step: step + 1, steps, epoch, endsEpoch, sequences, tokens: packed.ids.length, factor, result };
    }
  }
}

/** 0 .. count - 1 in random order (Fisher and Yates). */
function shuffled(count: number, random: Random): Int32Array {
  const order = Int32Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    const other = random.below(last + 1);
    [order[last], order[other]] = [order[other] as number, order[last] as number];
  }
  return order;
}
