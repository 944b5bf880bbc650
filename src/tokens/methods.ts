import { Random } from '../data/random.js';
import type { TokenPruning } from '../native/addon.js';
import type { Training } from '../native/training.js';
import type { Recipe } from '../training/recipe.js';
import type { Stage } from '../training/stages.js';
import type { TrainingStep } from '../training/steps.js';
import { fallingRates, geometricRates, type PruningFamily, randomRates, risingThresholds } from './baselines.js';
import { LearnedThresholds, type ThresholdSettings, type ThresholdState } from './learned-thresholds.js';

/**
 * Ways to train a model that drops tokens: `learned`, thresholds by gradient descent (Kim et al. 2021), and what they are
 * compared with: `manual`, thresholds that rise linearly; `top-k`, a number of tokens that falls linearly (SpAtten);
 * `length-drop`, random numbers of tokens in training (LAT).
 */
export const trainingMethods = ['learned', 'manual', 'top-k', 'length-drop'] as const;
export type TrainingMethod = (typeof trainingMethods)[number];

/** What a sweep can compare: `calibrated` finds thresholds without training. */
export const sweepMethods = [...trainingMethods, 'calibrated'] as const;
export type SweepMethod = (typeof sweepMethods)[number];

export interface MethodSettings extends ThresholdSettings {
  seed: number;
  soft: Recipe;
  hard: Recipe;
}

/** Finds the member of a family that meets the budget, where there is one, for the model as it is trained so far. */
export type Fit = (training: Training, family: PruningFamily) => Promise<TokenPruning>;

/** A method at work. */
export interface TokenMethod {
  method: TrainingMethod;
  stages: Stage[];
  /** How tokens are dropped as of now. */
  pruning: TokenPruning;
  /** What it takes to go on later. */
  state: unknown;
}

/** Begins a method on a model of so many layers, before its training starts. */
export async function beginMethod(
  name: TrainingMethod,
  settings: MethodSettings,
  layers: number,
  training: Training,
  fit: Fit,
): Promise<TokenMethod> {
  switch (name) {
    case 'learned':
      return new LearnedMethod(settings, layers, fit);
    case 'manual':
      return new FixedMethod(name, await fit(training, risingThresholds(layers)), settings.hard);
    case 'top-k':
      return new FixedMethod(name, await fit(training, fallingRates(layers)), settings.hard);
    case 'length-drop':
      return new LengthDropMethod(settings, layers, await fit(training, geometricRates(layers)));
  }
}

/** Soft masks while thresholds are learnt, then tokens are dropped by these while the weights adapt. */
class LearnedMethod implements TokenMethod {
  readonly method = 'learned';
  readonly stages: Stage[];
  readonly #thresholds: LearnedThresholds;
  #final: TokenPruning | undefined;

  constructor(settings: MethodSettings, layers: number, fit: Fit) {
    const thresholds = new LearnedThresholds(settings, layers);
    this.#thresholds = thresholds;
    this.stages = [
      {
        name: 'soft',
        recipe: settings.soft,
        pass: () => ({ soft: thresholds.soft }),
        onStep: ({ result, sequences, factor }) => thresholds.learn(result, sequences, factor),
        onEnd: async (training) => {
          this.#final = await fit(training, multiplesOf(thresholds.pruning));
        },
      },
      { name: 'hard', recipe: settings.hard, pass: () => ({ pruning: this.pruning }) },
    ];
  }

  get pruning(): TokenPruning {
    return this.#final ?? this.#thresholds.pruning;
  }

  get state(): { thresholds: ThresholdState; final: TokenPruning | undefined } {
    return { thresholds: this.#thresholds.state, final: this.#final };
  }

  set state({ thresholds, final }: { thresholds: ThresholdState; final: TokenPruning | undefined }) {
    this.#thresholds.state = thresholds;
    this.#final = final;
  }
}

/** All thresholds times the same factor; without a budget it is 1. */
function multiplesOf({ rule, values, ...rest }: TokenPruning): PruningFamily {
  return {
    hardest: 1 / Math.max(...values.filter((value) => value > 0)),
    at: (hardness) => ({ rule, values: values.map((value) => value * hardness), ...rest }),
  };
}

/** Tokens are dropped in the same way from the first step on. */
class FixedMethod implements TokenMethod {
  readonly stages: Stage[];
  state = null;

  constructor(
    readonly method: TrainingMethod,
    readonly pruning: TokenPruning,
    recipe: Recipe,
  ) {
    this.stages = [{ name: 'hard', recipe, pass: () => ({ pruning }) }];
  }
}

/** In training as many tokens go on as chance will have it, so that any number will do later. */
class LengthDropMethod implements TokenMethod {
  readonly method = 'length-drop';
  readonly stages: Stage[];
  #steps = 0;

  constructor(
    { seed, hard }: MethodSettings,
    layers: number,
    readonly pruning: TokenPruning,
  ) {
    const pass = () => ({ pruning: randomRates(layers, new Random(seed * 2 ** 32 + this.#steps)) });
    const onStep = ({ step }: TrainingStep) => {
      this.#steps = step;
    };
    this.stages = [{ name: 'length-drop', recipe: hard, pass, onStep }];
  }

  get state(): number {
    return this.#steps;
  }

  set state(steps: number) {
    this.#steps = steps;
  }
}
