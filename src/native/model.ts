import type {
  DType,
  KeptUnits,
  Mask,
  MaskGradients,
  Mode,
  ModelSpec,
  NativeModel,
  Objective,
  PackedBatch,
  Sublayer,
  TensorData,
  TokenPruning,
  TracedTokens,
} from './addon.js';
import { type CallOptions, call, callAsync, callCancellable } from './call.js';
import type { Engine } from './engine.js';
import { GradientMoments } from './gradient-moments.js';
import { HiddenStates } from './hidden-states.js';

/** Options of a forward that may drop tokens. */
export interface TokenOptions extends CallOptions {
  /** In place of the spec's token pruning; null: no token is dropped. */
  pruning?: TokenPruning | null | undefined;
}

/** Options of a forward. */
export interface RunOptions extends TokenOptions {
  /** Multiplies heads and neurons; all ones when left out. */
  mask?: Mask | undefined;
}

/** Options of a backward run; it drops no tokens. */
export interface GradientOptions extends CallOptions {
  /** Multiplies heads and neurons; all ones when left out. */
  mask?: Mask | undefined;
  /** Grow by the gradients at the sub-layers' outputs. */
  moments?: GradientMoments | undefined;
}

/** Options of hidden states. */
export interface EmbedOptions extends CallOptions {
  /**
   * Further neurons of the same layers: the targets drawn from the states, when they are a teacher's, hold what these
   * add; the states themselves do not.
   */
  targetsOnly?: Model | undefined;
  /** Keep all tokens in the last layer, even where the model's head reads first tokens only. */
  everyToken?: boolean | undefined;
  /** Drops tokens on the way; none are by default, whatever the spec says. Together with `everyToken` only. */
  pruning?: TokenPruning | null | undefined;
  /** How often a first token counts in statistics of these states as the student's; a whole number, 1 by default. */
  firstTokenWeight?: number | undefined;
}

/** Weights loaded on one engine. Calls may run at the same time, except scaleUnits() and replace(). */
export class Model {
  readonly spec: ModelSpec;

  constructor(
    readonly engine: Engine,
    readonly native: NativeModel,
  ) {
    this.spec = native.spec;
  }

  /**
   * @param weights by role, as `readCheckpoint` gives them; they are read where they lie, so that until the promise
   *   settles their memory must be neither transferred nor resized
   * @throws EspalierError ERR_INVALID_ARGUMENT when a weight is missing or has the wrong shape, ERR_OUT_OF_MEMORY
   */
  static async create(
    engine: Engine,
    spec: ModelSpec,
    weights: ReadonlyMap<string, TensorData>,
    mode: Mode,
  ): Promise<Model> {
    const native = await callAsync(() => engine.native.createModel(spec, Object.fromEntries(weights), mode));
    return new Model(engine, native);
  }

  /** Bytes of weights and packings held; tensors shared with other models are counted in each. */
  get bytes(): number {
    return this.native.bytes;
  }

  /**
   * Logits [sequences, labels], row by row; of a span head [tokens, 2], start and end.
   *
   * @throws EspalierError ERR_INVALID_ARGUMENT on ids or lengths the model does not know, ERR_NON_FINITE, ERR_CANCELLED
   */
  forward(batch: PackedBatch, options: RunOptions = {}): Promise<Float32Array> {
    const { mask = null, pruning, signal } = options;
    return callCancellable(signal, (cancel) => this.native.forward(batch, mask, pruning, cancel));
  }

  /** A forward that tells what became of the tokens. Throws as forward(). */
  traceTokens(batch: PackedBatch, { pruning, signal }: TokenOptions = {}): Promise<TracedTokens> {
    return callCancellable(signal, (cancel) => this.native.traceTokens(batch, pruning, cancel));
  }

  /**
   * Gradients of the loss with respect to every mask entry, summed over the sequences of each group (Kwon et al. 2022,
   * section 4.1). Needs a model in mode `gradients`.
   *
   * @param labels Int32Array of classes for crossEntropy, Float32Array of values for meanSquared, Int32Array
   *   [sequences, 2] of start and end tokens for span, Float32Array of the logits' gradients for given
   * @param groups group of each sequence: 0, ascending by steps of 0 or 1; one group a sequence gives them per sample
   */
  maskGradients(
    batch: PackedBatch,
    labels: Int32Array | Float32Array,
    objective: Objective,
    groups: Int32Array,
    options: GradientOptions = {},
  ): Promise<MaskGradients> {
    const moments = options.moments?.native ?? null;
    return callCancellable(options.signal, (cancel) =>
      this.native.maskGradients(batch, labels, objective, groups, options.mask ?? null, moments, cancel),
    );
  }

  /** Second moments of gradients, all zero, for maskGradients() to fill. */
  async gradientMoments(): Promise<GradientMoments> {
    return new GradientMoments(await callAsync(() => this.native.gradientMoments()));
  }

  /** The physically smaller model of the kept units; it shares what is unchanged. */
  async select(kept: KeptUnits, mode: Mode): Promise<Model> {
    return new Model(this.engine, await callAsync(() => this.native.select(kept, mode)));
  }

  /** Folds one scale a head or neuron into a sub-layer's output projection. */
  scaleUnits(layer: number, sublayer: Sublayer, scales: Float64Array): Promise<void> {
    return callAsync(() => this.native.scaleUnits(layer, sublayer, scales));
  }

  /**
   * Puts new values in the place of some roles', all or none.
   *
   * @throws EspalierError ERR_INVALID_ARGUMENT on an unknown role, a wrong size or a value that is not finite
   */
  replace(weights: Record<string, Float32Array>): Promise<void> {
    return callAsync(() => this.native.replace(weights));
  }

  /** The values of one role, [rows, columns] (vectors have one row), in the dtype asked for. */
  weight(role: string, dtype: DType): Promise<TensorData> {
    return callAsync(() => this.native.weight(role, dtype));
  }

  /** Hidden states after the embeddings, to be taken through the layers one sub-layer at a time. */
  async embed(batch: PackedBatch, options: EmbedOptions = {}): Promise<HiddenStates> {
    const { everyToken = false, pruning = null, firstTokenWeight = 1, signal } = options;
    const targetsOnly = options.targetsOnly?.native ?? null;
    return new HiddenStates(
      await callCancellable(signal, (cancel) =>
        this.native.embed(batch, targetsOnly, everyToken, pruning, firstTokenWeight, cancel),
      ),
    );
  }

  /** Frees the memory once running calls are done; later calls throw. */
  dispose(): void {
    call(() => this.native.dispose());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
