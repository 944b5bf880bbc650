import { Random } from '../data/random.js';
import type { TokenPruning } from '../native/addon.js';
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
import { type Budget, leftTooMuch, nearer } from './budget.js';
import { LearnedThresholds, type ThresholdSettings, type ThresholdState } from './learned-thresholds.js';
import { thresholds } from './thresholds.js';

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

/** Begins a method on a model of so many layers, before its training starts. All but `learned` need a budget. */
export async function beginMethod(
  name: TrainingMethod,
  settings: MethodSettings,
  layers: number,
  training: Training,
  budget: Budget | undefined,
): Promise<TokenMethod> {
  const rising = risingThresholds(layers, settings.paddedLength);
  if (name === 'learned') {
    const { values } = rising.at(settings.highest);
    // Before the soft stage, which would be in vain.
    const hardest = values.map(() => rising.hardest);
    await budget?.check(training, thresholds(hardest, settings.paddedLength));
    return new LearnedMethod(settings, values, budget);
  }
  if (!budget) {
    throw new EspalierError('ERR_OPTION', `the method ${name} needs to know how much work to leave (give --macs too)`);
  }
  switch (name) {
    case 'manual':
      return await FixedMethod.begin(name, rising, settings.hard, training, budget);
    case 'top-k':
      return await FixedMethod.begin(name, fallingRates(layers), settings.hard, training, budget);
    case 'length-drop':
      return new LengthDropMethod(settings, layers, await budget.fit(training, geometricRates(layers)));
  }
}

/** Part of the soft stage after which it should show that tokens are chosen, and what parts of them do not show it. */
const early = 0.25;
const nearlyAll = 0.98;
const nearlyNone = 0.02;

/**
 * Soft masks while thresholds are learnt, then tokens are dropped by these while the weights adapt. With a budget, masks
 * cost something only while more is left than may be, which falls to the budget little by little: otherwise thresholds go on
 * rising, faster than the weights adapt, to a model that nobody asked for. Where tokens are dropped, all thresholds are
 * multiplied by what meets the budget, step by step, as the attention that tokens get changes with the weights.
 */
class LearnedMethod implements TokenMethod {
  readonly method = 'learned';
  readonly stages: Stage[];
  readonly warnings: string[] = [];
  readonly #thresholds: LearnedThresholds;
  /** Whether more is left than may be. */
  #tooMuch = true;
  #final: TokenPruning | undefined;

  constructor(settings: MethodSettings, values: readonly number[], budget: Budget | undefined) {
    const thresholds = new LearnedThresholds(settings, values);
    this.#thresholds = thresholds;
    const onEnd = async (training: Training) => {
      this.#final = await budget?.fit(training, multiplesOf(this.pruning));
    };
    this.stages = [
      {
        name: 'soft',
        recipe: settings.soft,
        pass: () => ({ soft: thresholds.soft(this.#tooMuch ? settings.lambda : 0) }),
        onStep: (step) => {
          thresholds.learn(step.result, step.sequences, step.factor);
          if (budget) this.#tooMuch = leftTooMuch(step, budget);
          else if (step.step === Math.ceil(step.steps * early)) this.#warnEarly(step);
        },
        onEnd,
      },
      {
        name: 'hard',
        recipe: settings.hard,
        pass: () => ({ pruning: this.pruning }),
        onStep: (step) => {
          if (budget) this.#final = nearer(this.pruning, step, budget);
        },
        onEnd,
      },
    ];
  }

  get pruning(): TokenPruning {
    return this.#final ?? this.#thresholds.pruning;
  }

  /** Before much time is spent on what leads nowhere. */
  #warnEarly({ tokens, sequences, result }: TrainingStep): void {
    // First tokens have no choice.
    const left = ((result.tokens.at(-1) as number) - sequences) / (tokens - sequences);
    if (left > nearlyAll) this.warnings.push('nearly every token goes on so far (try a larger lambda)');
    if (left < nearlyNone) this.warnings.push('nearly no token goes on already (try a smaller lambda)');
  }

  get state(): LearnedState {
    const { warnings } = this;
    return { thresholds: this.#thresholds.state, tooMuch: this.#tooMuch, final: this.#final, warnings };
  }

  set state({ thresholds, tooMuch, final, warnings }: LearnedState) {
    this.#thresholds.state = thresholds;
    this.#tooMuch = tooMuch;
    this.#final = final;
    this.warnings.splice(0, this.warnings.length, ...warnings);
  }
}

interface LearnedState {
  thresholds: ThresholdState;
  tooMuch: boolean;
  final?: TokenPruning | undefined;
  warnings: string[];
}

/** Tokens are dropped in the same way from the first step on, up to what it takes to meet the budget. */
class FixedMethod implements TokenMethod {
  readonly stages: Stage[];
  readonly warnings: string[] = [];

  private constructor(
    readonly method: TrainingMethod,
    recipe: Recipe,
    public state: TokenPruning,
    budget: Budget,
    family: PruningFamily,
  ) {
    const stage: Stage = { name: 'hard', recipe, pass: () => ({ pruning: this.state }) };
    if (state.rule === 'threshold') {
      stage.onStep = (step) => {
        this.state = nearer(this.state, step, budget);
      };
      stage.onEnd = async (training) => {
        this.state = await budget.fit(training, family);
      };
    }
    this.stages = [stage];
  }

  static async begin(
    method: TrainingMethod,
    family: PruningFamily,
    recipe: Recipe,
    training: Training,
    budget: Budget,
  ): Promise<FixedMethod> {
    return new FixedMethod(method, recipe, await budget.fit(training, family), budget, family);
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
