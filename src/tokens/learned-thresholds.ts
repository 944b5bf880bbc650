import type { PassResult, SoftThresholds, TokenPruning } from '../native/addon.js';

export interface ThresholdSettings {
  /** The weight of the mean mask in a sequence's loss: the larger, the fewer tokens go on. */
  lambda: number;
  /** Of the soft masks. */
  temperature: number;
  /** The thresholds begin rising with the layer, linearly from 0 to nearly this. */
  highest: number;
  learningRate: number;
}

const beta1 = 0.9;
const beta2 = 0.999;
const epsilon = 1e-8;

/** What it takes to go on learning thresholds later. */
export interface ThresholdState {
  values: number[];
  firstMoments: number[];
  secondMoments: number[];
  steps: number;
}

/** One threshold a layer, learnt by gradient descent through soft masks (Kim et al. 2021, section 3.3). */
export class LearnedThresholds {
  readonly #settings: Pick<ThresholdSettings, 'temperature' | 'learningRate'>;
  #state: ThresholdState;

  constructor(settings: Pick<ThresholdSettings, 'temperature' | 'learningRate'>, values: readonly number[]) {
    const zeros = () => values.map(() => 0);
    this.#settings = settings;
    this.#state = { values: [...values], firstMoments: zeros(), secondMoments: zeros(), steps: 0 };
  }

  get state(): ThresholdState {
    return structuredClone(this.#state);
  }

  set state(state: ThresholdState) {
    this.#state = structuredClone(state);
  }

  /** For a pass that learns. */
  soft(lambda: number): SoftThresholds {
    return { values: [...this.#state.values], temperature: this.#settings.temperature, sparsity: lambda };
  }

  /** For a pass that drops tokens. */
  get pruning(): TokenPruning {
    return { rule: 'threshold', values: [...this.#state.values] };
  }

  /** One step of Adam (Kingma and Ba 2015); a threshold never falls below 0. */
  learn({ thresholdGradients }: Pick<PassResult, 'thresholdGradients'>, sequences: number, factor: number): void {
    const { values, firstMoments, secondMoments } = this.#state;
    const steps = ++this.#state.steps;
    for (const [layer, sum] of thresholdGradients.entries()) {
      const gradient = sum / sequences;
      const first = beta1 * (firstMoments[layer] as number) + (1 - beta1) * gradient;
      const second = beta2 * (secondMoments[layer] as number) + (1 - beta2) * gradient ** 2;
      const root = Math.sqrt(second / (1 - beta2 ** steps)) + epsilon;
      const change = (this.#settings.learningRate * factor * first) / (1 - beta1 ** steps) / root;
      values[layer] = Math.max(0, (values[layer] as number) - change);
      firstMoments[layer] = first;
      secondMoments[layer] = second;
    }
  }
}
