/**
 * The one typed description of the native addon. Everything else in src/ reaches native code through the classes beside
 * this file; the shapes here mirror binding/.
 */

/**
 * Arithmetic of models. `fp32`: floats throughout; `tf32` and `bf16-products`: floats whose products round their factors
 * to 10 and 7 bits; `bf16` and `fp16`: 16-bit values with sums in float, for inference. All but `fp32` on CUDA only.
 */
export const precisions = ['fp32', 'tf32', 'bf16-products', 'bf16', 'fp16'] as const;
export type Precision = (typeof precisions)[number];

/** Element types of tensors as stored and as exchanged with native code. */
export type DType = 'f32' | 'f16' | 'bf16';

/** What an encoder looks like, whatever family it came from. */
export interface ModelSpec {
  hiddenSize: number;
  headSize: number;
  vocabularySize: number;
  maxPositions: number;
  /** 0 where the family has none. */
  tokenTypes: number;
  layerNormEpsilon: number;
  activation: 'gelu' | 'gelu_new' | 'relu';
  layers: LayerShape[];
  /** `sequence`: one row of logits a sequence, out of its first token; `span`: start and end logits of every token. */
  head: 'sequence' | 'span';
  /** Between the two layers of a sequence head; a span head has one layer. */
  headActivation: 'tanh' | 'relu';
  /**
   * Positions count from this id + 1, and a token that is the id (RoBERTa's padding) has the id as its position; -1:
   * they count from 0.
   */
  positionPadding: number;
  /** Logits of a row; 2 for a span head. */
  labels: number;
  tokenPruning?: TokenPruning | undefined;
}

/**
 * Which tokens a layer lets go on once they have been attended to (Kim et al. 2021). Layers after the attention of which
 * nothing is dropped: a sequence head's last, and those without heads.
 */
export interface TokenPruning {
  /**
   * `threshold`: tokens go on whose importance is at least the layer's value; `keepRate`: the layer's value is the part
   * of the sequence's tokens, as it came in, that go on, the most important ones (rounded up).
   */
  rule: 'threshold' | 'keepRate';
  /** One a layer. */
  values: number[];
  /**
   * What importance is a mean over, where that is not the sequence's own length, so that one threshold suits sequences of
   * any length: the longer, the less of the attention each of a sequence's tokens gets.
   */
  paddedLength?: number | undefined;
}

/** Units one layer has; a pruned layer has fewer, possibly none. */
export interface LayerShape {
  heads: number;
  neurons: number;
}

/** A tensor's raw little-endian bytes. */
export interface TensorData {
  dtype: DType;
  shape: number[];
  data: Uint8Array;
}

/**
 * Token ids of several sequences without padding; sequence s owns offsets[s] .. offsets[s + 1] - 1. Models of fewer than
 * two token types do not look at them.
 */
export interface PackedBatch {
  ids: Int32Array;
  tokenTypes: Int32Array;
  offsets: Int32Array;
}

/** One float a head and one a neuron, layers one after another. */
export interface Mask {
  heads: Float32Array;
  neurons: Float32Array;
}

/** Indices of the units to keep, ascending, per layer. */
export interface KeptUnits {
  heads: number[][];
  neurons: number[][];
}

/**
 * What labels are: a class a sequence, a value a sequence, or (start token, end token) of every sequence, counted inside
 * it, judged by the mean of the two cross entropies over the sequence's tokens.
 */
export type LossKind = 'crossEntropy' | 'meanSquared' | 'span';
/**
 * `given`: labels are the gradients themselves of something with respect to the logits, Float32Array [sequences, labels]
 * or, of a span head, [tokens, 2].
 */
export type Objective = LossKind | 'given';
export type Sublayer = 'attention' | 'ffn';
/** What a Model is opened for: `gradients` also packs transposed weights. */
export type Mode = 'inference' | 'gradients';

/** Gradients of the summed loss of each group's sequences. */
export interface MaskGradients {
  /** [sequences] */
  losses: Float32Array;
  /** [groups, all heads] */
  heads: Float32Array;
  /** [groups, all neurons] */
  neurons: Float32Array;
}

/** A forward with what became of the tokens. */
export interface TracedTokens {
  /** As of a forward. */
  logits: Float32Array;
  /** [tokens] the number of layers that let the token go on */
  depths: Int32Array;
  /**
   * [layers, tokens] the importance of the tokens that a layer got, by which it lets them go on; 0 of others, and where
   * nothing is ever dropped
   */
  importance: Float32Array;
}

/** Thresholds while they are learnt: each layer's output is multiplied by sigmoid((importance - value) / temperature). */
export interface SoftThresholds {
  /** One a layer. */
  values: readonly number[];
  temperature: number;
  /** One a layer: the weight, in a sequence's loss, of the mean of the layer's soft masks. */
  sparsity: readonly number[];
  /** What importance and that mean are means over, where that is not the sequence's own length. */
  paddedLength?: number | undefined;
}

/** How much of a loss comes from where. */
export interface DistillationWeights {
  /** Of the labels' loss. */
  labels: number;
  /** Of temperature^2 KL(teacher || student) (Hinton et al. 2015, section 2). */
  logits: number;
  temperature: number;
  /** Of the mean squared difference of the layers' outputs. */
  hidden: number;
}

export interface NativePassOptions {
  pruning: TokenPruning | null;
  soft: SoftThresholds | null;
  dropout: number;
  seed: number;
  teacher: NativeModel | null;
  distillation: DistillationWeights | null;
}

/** What a training pass found. */
export interface PassResult {
  /** [sequences], the soft masks' penalty apart */
  losses: Float32Array;
  /** [layers] tokens that go on, of all sequences together; with soft masks those that would */
  tokens: Float64Array;
  /** [layers] the sum of the sequences' means of their soft masks */
  meanMasks: Float64Array;
  /** [layers] of the soft thresholds */
  thresholdGradients: Float64Array;
}

/** One step of AdamW on all parameters, with no decay of biases and LayerNorms. */
export interface OptimizerStep {
  learningRate: number;
  weightDecay: number;
  /** What the summed gradients are multiplied with: 1 / sequences for their mean. */
  gradientScale: number;
  /** Longer gradients are shortened to it, all parameters together; 0: none are. */
  maxGradientNorm: number;
}

/** A role's values and what the optimiser remembers of them, each [rows x columns]. */
export interface ParameterState {
  parameter: Float32Array;
  firstMoment: Float32Array;
  secondMoment: Float32Array;
}

/**
 * Sums over rows (tokens) of a sub-layer's inputs x to its output projection and of the targets b that the projection
 * should reach (pre-LayerNorm output of the teacher, less the student's residual input and bias).
 */
export interface SublayerStatistics {
  rows: number;
  /** [inputs, inputs] x'x */
  gram: Float64Array;
  /** [inputs, hidden] x'b; empty where there are no targets, as targetSums */
  cross: Float64Array;
  /** [inputs] */
  inputSums: Float64Array;
  /** [hidden] */
  targetSums: Float64Array;
  /** sum of b squared */
  targetSquares: number;
}

/** Least-squares system of one scale per unit: matrix [units, units] and right-hand side [units]. */
export interface ScaleSystem {
  matrix: Float64Array;
  rhs: Float64Array;
}

/** The order in which a projection can do without its units. */
export interface Elimination {
  /** [units], the first removed first. */
  order: Int32Array;
  /** [units], the error once the first 1, 2, ... are gone. */
  errors: Float64Array;
}

/** A projection solved for anew. */
export interface ProjectionFit {
  /** [hidden, inputs] */
  weight: Float32Array;
  /** [hidden] what is to be added to the bias */
  biasShift: Float32Array;
}

export interface DeviceReport {
  name: string;
  available: boolean;
  /** The instruction set or device when available, what is missing otherwise. */
  detail: string;
}

export interface NativeCancelToken {
  cancel(): void;
}

export interface NativeModel {
  readonly spec: ModelSpec;
  /** Bytes of weights and packings held. */
  readonly bytes: number;
  /** `pruning`: undefined for the model's own, null for none. */
  forward(
    batch: PackedBatch,
    mask: Mask | null,
    pruning: TokenPruning | null | undefined,
    cancel: NativeCancelToken,
  ): Promise<Float32Array>;
  traceTokens(
    batch: PackedBatch,
    pruning: TokenPruning | null | undefined,
    cancel: NativeCancelToken,
  ): Promise<TracedTokens>;
  maskGradients(
    batch: PackedBatch,
    labels: Int32Array | Float32Array,
    objective: Objective,
    groups: Int32Array,
    mask: Mask | null,
    moments: NativeGradientMoments | null,
    cancel: NativeCancelToken,
  ): Promise<MaskGradients>;
  gradientMoments(): Promise<NativeGradientMoments>;
  startTraining(): Promise<NativeTraining>;
  select(kept: KeptUnits, mode: Mode): Promise<NativeModel>;
  scaleUnits(layer: number, sublayer: Sublayer, scales: Float64Array): Promise<void>;
  replace(weights: Record<string, Float32Array>): Promise<void>;
  weight(role: string, dtype: DType): Promise<TensorData>;
  embed(
    batch: PackedBatch,
    targetsOnly: NativeModel | null,
    everyToken: boolean,
    pruning: TokenPruning | null,
    firstTokenWeight: number,
    cancel: NativeCancelToken,
  ): Promise<NativeHiddenStates>;
  dispose(): void;
}

export interface NativeGradientMoments {
  read(layer: number, sublayer: Sublayer): Promise<Float64Array>;
  dispose(): void;
}

export interface NativeTraining {
  accumulate(
    batch: PackedBatch,
    labels: Int32Array | Float32Array,
    loss: LossKind,
    options: NativePassOptions,
    cancel: NativeCancelToken,
  ): Promise<PassResult>;
  /** Resolves to the norm of the scaled gradients. */
  step(options: OptimizerStep): Promise<number>;
  snapshot(mode: Mode): Promise<NativeModel>;
  state(role: string): Promise<ParameterState>;
  restore(states: Record<string, ParameterState>, steps: number): Promise<void>;
  dispose(): void;
}

export interface NativeHiddenStates {
  readonly bytes: number;
  advance(layer: number, sublayer: Sublayer, cancel: NativeCancelToken): Promise<void>;
  collectInputs(layer: number, sublayer: Sublayer, cancel: NativeCancelToken): Promise<SublayerStatistics>;
  collectDrift(teacher: NativeHiddenStates, cancel: NativeCancelToken): Promise<SublayerStatistics>;
  collect(
    teacher: NativeHiddenStates,
    layer: number,
    sublayer: Sublayer,
    cancel: NativeCancelToken,
  ): Promise<SublayerStatistics>;
  dispose(): void;
}

export interface NativeEngine {
  readonly detail: string;
  /** The most bytes that this process has had on the device at once; 0 where its memory is the host's. */
  readonly peakBytes: number;
  readonly threads: number;
  createModel(spec: ModelSpec, weights: Record<string, TensorData>, mode: Mode): Promise<NativeModel>;
  dispose(): void;
}

export interface Addon {
  /** `device` without an index: "cpu", "cuda" or "reference". */
  Engine: new (
    device: string,
    index: number,
    threads: number,
    precision: Precision,
  ) => NativeEngine;
  CancelToken: new () => NativeCancelToken;
  availableThreads(): number;
  devices(): DeviceReport[];
  /**
   * The system of `unitSize` consecutive inputs sharing one scale; `weight` is the output projection [hidden, inputs].
   * With `ones`, a last unknown multiplies a column of ones.
   */
  scaleSystem(
    statistics: SublayerStatistics,
    weight: Float32Array,
    unitSize: number,
    ones: boolean,
    engine: NativeEngine,
  ): Promise<ScaleSystem>;
  /** z of (M^2 + 1) z = M r: the damped solution of M z = r that LSMR with damp 1 converges to. */
  solveFiltered(system: ScaleSystem, engine: NativeEngine): Promise<Float64Array>;
  /** `weight` is the output projection [hidden, inputs], `outputMoments` [hidden, hidden]. */
  eliminationOrder(
    statistics: SublayerStatistics,
    weight: Float32Array,
    outputMoments: Float64Array,
    unitSize: number,
    ridge: number,
    engine: NativeEngine,
  ): Promise<Elimination>;
  solveProjection(
    statistics: SublayerStatistics,
    weight: Float32Array,
    ridge: number,
    engine: NativeEngine,
  ): Promise<ProjectionFit>;
  bestRidge(
    fit: SublayerStatistics,
    heldOut: SublayerStatistics,
    weight: Float32Array,
    ridges: Float64Array,
    engine: NativeEngine,
  ): Promise<number>;
  composeProjection(weight: Float32Array, map: ProjectionFit, engine: NativeEngine): Promise<ProjectionFit>;
  /** `vectors` [length, any], a column each; of the `candidates` from column `first` on, counted from there. */
  shortestSum(
    vectors: Float32Array,
    length: number,
    first: number,
    candidates: number,
    count: number,
  ): Promise<Int32Array>;
}
