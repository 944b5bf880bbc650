import type {
  DistillationWeights,
  LossKind,
  Mode,
  NativeTraining,
  OptimizerStep,
  PackedBatch,
  ParameterState,
  PassResult,
  SoftThresholds,
  TokenPruning,
} from './addon.js';
import { type CallOptions, call, callAsync, callCancellable } from './call.js';
import type { Engine } from './engine.js';
import { Model } from './model.js';

/** What a pass learns from beside the labels. */
export interface Distillation extends DistillationWeights {
  teacher: Model;
}

/** How a batch is passed through a model that learns; tokens are dropped, masked softly, or neither. */
export interface PassOptions extends CallOptions {
  /** Drops tokens; by default none, whatever the model's spec says. */
  pruning?: TokenPruning | undefined;
  soft?: SoftThresholds | undefined;
  /** Rate of the dropout of attention probabilities, and after embeddings, projections and the pooler; 0 by default. */
  dropout?: number | undefined;
  /** Of the dropout: another one for each pass. */
  seed?: number | undefined;
  distillation?: Distillation | undefined;
}

/** Fine-tuning of a copy of a model's weights. Calls wait for one another. */
export class Training {
  private constructor(
    private readonly engine: Engine,
    private readonly native: NativeTraining,
  ) {}

  /** Begins, on an engine in fp32. */
  static async start(model: Model): Promise<Training> {
    return new Training(model.engine, await callAsync(() => model.native.startTraining()));
  }

  /**
   * Adds the gradients of the summed losses of the batch's sequences, for step() to take. An error of the pass
   * itself, cancelling it included, makes it forget what was added since the last step.
   *
   * @param labels as Model.maskGradients() takes them
   * @throws EspalierError ERR_INVALID_ARGUMENT, ERR_NON_FINITE for a loss that is no number, ERR_CANCELLED
   */
  accumulate(
    batch: PackedBatch,
    labels: Int32Array | Float32Array,
    loss: LossKind,
    { pruning, soft, dropout = 0, seed = 0, distillation, signal }: PassOptions = {},
  ): Promise<PassResult> {
    const { teacher = null, ...weights } = distillation ?? {};
    const options = {
      pruning: pruning ?? null,
      soft: soft ?? null,
      dropout,
      seed,
      teacher: teacher?.native ?? null,
      distillation: distillation ? (weights as DistillationWeights) : null,
    };
    return callCancellable(signal, (cancel) => this.native.accumulate(batch, labels, loss, options, cancel));
  }

  /**
   * Takes one step of the optimiser with what was accumulated.
   *
   * @returns the norm of all scaled gradients before they were shortened
   * @throws EspalierError ERR_NON_FINITE, and leaves the parameters as they are, where that is no number
   */
  step(options: OptimizerStep): Promise<number> {
    return callAsync(() => this.native.step(options));
  }

  /** The model as it is now, with weights of its own. */
  async snapshot(mode: Mode = 'inference'): Promise<Model> {
    return new Model(this.engine, await callAsync(() => this.native.snapshot(mode)));
  }

  /** What it takes to go on with a role's weights later. */
  state(role: string): Promise<ParameterState> {
    return callAsync(() => this.native.state(role));
  }

  /** Goes on after so many steps from the states of all roles. Throws ERR_INVALID_ARGUMENT where they do not fit. */
  restore(states: Record<string, ParameterState>, steps: number): Promise<void> {
    return callAsync(() => this.native.restore(states, steps));
  }

  /** Frees the memory once running calls are done; later calls throw. */
  dispose(): void {
    call(() => this.native.dispose());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
