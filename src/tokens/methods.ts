import { Random } from '../data/random.js';
import type { PassResult, TokenPruning } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import type { Training } from '../native/training.js';
import type { Recipe } from '../training/recipe.js';
import type { Stage } from '../training/stages.js';
import type { TrainingStep } from '../training/steps.js';
import {
  fallingRates,
  geometricRates,
  multiplesOf,
  type PruningFamily,
  randomRates,
  risingThresholds,
} from './baselines.js';
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

/** What users say; data say the rest. */
export type MethodOptions = Omit<MethodSettings, 'paddedLength'> & Partial<Pick<MethodSettings, 'paddedLength'>>;

/** Finds the member of a family that meets the budget with the model as it is trained so far. */
export type Fit = (training: Training, family: PruningFamily) => Promise<TokenPruning>;

/** A method at work. */
export interface TokenMethod {
  method: TrainingMethod;
  stages: Stage[];
  /** How tokens are dropped as of now. */
  pruning: TokenPruning;
  /** What it takes to go on later. */
  state: unknown;
  /** What the user should know. */
  warnings: readonly string[];
}

/** Begins a method on a model of so many layers, before its training starts. All but `learned` need a budget to fit. */
export async function beginMethod(
  name: TrainingMethod,
  settings: MethodSettings,
  layers: number,
  training: Training,
  fit: Fit | undefined,
): Promise<TokenMethod> {
  const rising = risingThresholds(layers, settings.paddedLength);
  if (name === 'learned') return new LearnedMethod(settings, rising.at(settings.highest).values, fit);
  if (!fit) {
    throw new EspalierError('ERR_OPTION', `the method ${name} needs to know how much work to leave (give --macs too)`);
  }
  switch (name) {
    case 'manual':
      return await FixedMethod.begin(name, rising, settings.hard, training, fit);
    case 'top-k':
      return await FixedMethod.begin(name, fallingRates(layers), settings.hard, training, fit);
    case 'length-drop':
      return new LengthDropMethod(settings, layers, await fit(training, geometricRates(layers)));
  }
}

/** Part of the soft stage after which it should show that tokens are chosen, and what parts of them do not show it. */
const early = 0.25;
const nearlyAll = 0.98;
const nearlyNone = 0.02;

/**
 * Soft masks while thresholds are learnt, then tokens are dropped by these, times what it takes to meet the budget, while
 * the weights adapt. As they do, so does the attention that tokens get: in the end the budget is met again.
 */
class LearnedMethod implements TokenMethod {
  readonly method = 'learned';
  readonly stages: Stage[];
  readonly warnings: string[] = [];
  readonly #thresholds: LearnedThresholds;
  #final: TokenPruning | undefined;

  constructor(settings: MethodSettings, values: readonly number[], fit: Fit | undefined) {
    const thresholds = new LearnedThresholds(settings, values);
    this.#thresholds = thresholds;
    const onEnd = async (training: Training) => {
      this.#final = await fit?.(training, multiplesOf(this.pruning));
    };
    this.stages = [
      {
        name: 'soft',
        recipe: settings.soft,
        pass: () => ({ soft: thresholds.soft(settings.lambda) }),
        onStep: ({ result, sequences, tokens, factor, step, steps }) => {
          thresholds.learn(result, sequences, factor);
          if (!fit && step === Math.ceil(steps * early)) this.#warnEarly(tokens, result);
        },
        onEnd,
      },
      { name: 'hard', recipe: settings.hard, pass: () => ({ pruning: this.pruning }), onEnd },
    ];
  }

  get pruning(): TokenPruning {
    return this.#final ?? this.#thresholds.pruning;
  }

  /** Before much time is spent on what leads nowhere. */
  #warnEarly(tokens: number, { tokens: kept }: PassResult): void {
    const left = (kept.at(-1) as number) / tokens;
    if (left > nearlyAll) this.warnings.push('nearly every token goes on so far (try a larger lambda)');
    if (left < nearlyNone) this.warnings.push('nearly no token goes on already (try a smaller lambda)');
  }

  get state(): LearnedState {
    return { thresholds: this.#thresholds.state, final: this.#final };
  }

  set state({ thresholds, final }: LearnedState) {
    this.#thresholds.state = thresholds;
    this.#final = final;
  }
}

interface LearnedState {
  thresholds: ThresholdState;
  final?: TokenPruning | undefined;
}

/** Tokens are dropped in the same way from the first step on, up to what it takes to meet the budget in the end. */
class FixedMethod implements TokenMethod {
  readonly stages: Stage[];
  readonly warnings: string[] = [];

  private constructor(
    readonly method: TrainingMethod,
    recipe: Recipe,
    public state: TokenPruning,
    finish: (training: Training) => Promise<TokenPruning>,
  ) {
    const onEnd = async (training: Training) => {
      this.state = await finish(training);
    };
    this.stages = [{ name: 'hard', recipe, pass: () => ({ pruning: this.state }), onEnd }];
  }

  static async begin(
    method: TrainingMethod,
    family: PruningFamily,
    recipe: Recipe,
    training: Training,
    fit: Fit,
  ): Promise<FixedMethod> {
    return new FixedMethod(method, recipe, await fit(training, family), (trained) => fit(trained, family));
  }

  get pruning(): TokenPruning {
    return this.state;
  }
}

/** In training as many tokens go on as chance will have it, so that any number will do later. */
class LengthDropMethod implements TokenMethod {
  readonly method = 'length-drop';
  readonly stages: Stage[];
  readonly warnings: string[] = [];
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
