import type { PassResult, SoftThresholds, TokenPruning } from '../native/addon.js';
import { overLength, thresholds } from './thresholds.js';

export interface ThresholdSettings {
  /** The weight, in a sequence's loss, of the work that its soft masks leave: the larger, the fewer tokens go on. */
  lambda: number;
  /** Of the soft masks. */
  temperature: number;
  /** The thresholds begin rising with the layer, linearly from 0 to nearly this. */
  highest: number;
  learningRate: number;
  /** What importance is a mean over; 0: the sequence's own length. */
  paddedLength: number;
}

type LearningSettings = Pick<ThresholdSettings, 'temperature' | 'learningRate' | 'paddedLength'>;

const beta1 = 0.9;
const beta2 = 0.999;
const epsilon = 1e-8;
/** Below any token's importance; but unlike 0 it has multiples that are above. */
const lowest = 1e-6;

/** What it takes to go on learning thresholds later. */
export interface ThresholdState {
  values: number[];
  firstMoments: number[];
  secondMoments: number[];
  /** Of the last step, of each layer. */
  meanMasks: number[];
  steps: number;
}

/** One threshold a layer, learnt by gradient descent through soft masks (Kim et al. 2021, section 3.3). */
export class LearnedThresholds {
  readonly #settings: LearningSettings;
  #state: ThresholdState;

  constructor(settings: LearningSettings, values: readonly number[]) {
    const zeros = () => values.map(() => 0);
    this.#settings = settings;
    const meanMasks = values.map(() => 1);
    this.#state = { values: [...values], firstMoments: zeros(), secondMoments: zeros(), meanMasks, steps: 0 };
  }

  get state(): ThresholdState {
    return structuredClone(this.#state);
  }

  set state(state: ThresholdState) {
    this.#state = structuredClone(state);
  }

  /** For a pass that learns. */
  soft(lambda: number): SoftThresholds {
    const { values, meanMasks } = this.#state;
    const sparsity = workBehind(meanMasks).map((work) => (lambda * work) / values.length);
    const { temperature, paddedLength } = this.#settings;
    return { values: [...values], temperature, sparsity, ...overLength(paddedLength) };
  }

  /** For a pass that drops tokens. */
  get pruning(): TokenPruning {
    return thresholds(this.#state.values, this.#settings.paddedLength);
  }

  /** One step of Adam (Kingma and Ba 2015). */
  learn(
    { thresholdGradients, meanMasks }: Pick<PassResult, 'thresholdGradients' | 'meanMasks'>,
    sequences: number,
    factor: number,
  ): void {
    const { values, firstMoments, secondMoments } = this.#state;
    const steps = ++this.#state.steps;
    for (const [layer, sum] of thresholdGradients.entries()) {
      const gradient = sum / sequences;
      const first = beta1 * (firstMoments[layer] as number) + (1 - beta1) * gradient;
      const second = beta2 * (secondMoments[layer] as number) + (1 - beta2) * gradient ** 2;
      const root = Math.sqrt(second / (1 - beta2 ** steps)) + epsilon;
      const change = (this.#settings.learningRate * factor * first) / (1 - beta1 ** steps) / root;
      values[layer] = Math.max(lowest, (values[layer] as number) - change);
      firstMoments[layer] = first;
      secondMoments[layer] = second;
    }
    // A layer that judges no tokens has no masks: all go on.
    this.#state.meanMasks = Array.from(meanMasks, (sum) => sum / sequences || 1);
  }
}

/**
 * What a layer's mean mask is multiplied with in the work of all layers, were every token masked alike: layer l is there
 * for the product of the masks up to its own. Kim et al. 2021 count every layer's mask once (section 3.4), so that
 * nothing speaks for dropping a token early rather than late.
 */
function workBehind(meanMasks: readonly number[]): number[] {
  return meanMasks.map((_, layer) => {
    const before = meanMasks.slice(0, layer).reduce((product, mask) => product * mask, 1);
    let [left, work] = [before, before];
    for (const mask of meanMasks.slice(layer + 1)) {
      left *= mask;
      work += left;
    }
    return work;
  });
}
