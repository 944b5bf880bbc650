import { EspalierError } from '../native/errors.js';

/** How a stage of training goes about it. */
export interface Recipe {
  /** Passes over the data. */
  epochs: number;
  /** Sequences of one step. */
  batch: number;
  /** The highest; it rises over the warm-up and falls to 0, both linearly. */
  learningRate: number;
  /** Part of the steps that the learning rate rises over. */
  warmup: number;
  /** Of matrices and embedding tables. */
  weightDecay: number;
  /** Longer gradients are shortened to it. */
  maxGradientNorm: number;
  /** Rate, after the embeddings, each projection and the pooler. */
  dropout: number;
}

/** What fine-tuning BERT-family encoders usually takes (Devlin et al. 2019, appendix A.3, with the highest of their rates). */
export const defaultRecipe: Recipe = {
  epochs: 3,
  batch: 32,
  learningRate: 5e-5,
  warmup: 0.1,
  weightDecay: 0.01,
  maxGradientNorm: 1,
  dropout: 0.1,
};

/** Throws ERR_OPTION where a recipe makes no sense. */
export function checkRecipe(recipe: Recipe): void {
  const check = (name: keyof Recipe, isRight: (value: number) => boolean, wanted: string) => {
    const value = recipe[name];
    if (!isRight(value)) throw new EspalierError('ERR_OPTION', `${name} must be ${wanted}, not ${value}`);
  };
  for (const name of ['epochs', 'batch'] as const) {
    check(name, (value) => Number.isSafeInteger(value) && value >= 1, 'a whole number, at least 1');
  }
  for (const name of ['warmup', 'dropout'] as const)
    check(name, (value) => value >= 0 && value < 1, 'at least 0 and below 1');
  for (const name of ['learningRate', 'weightDecay', 'maxGradientNorm'] as const) {
    check(name, (value) => value >= 0 && Number.isFinite(value), 'a number, at least 0');
  }
}

/**
 * What the learning rate is multiplied with at a step, counted from 0. The warm-up does not begin at 0, as that of
 * transformers does: no step is lost.
 */
export function linearSchedule(step: number, steps: number, warmup: number): number {
  const rising = Math.floor(warmup * steps);
  return step < rising ? (step + 1) / (rising + 1) : (steps - step) / (steps - rising);
}
