import type { LayerShape, ModelSpec, TensorData } from '../native/addon.js';
import { AliveTokens } from './alive-tokens.js';
import { Graph } from './graph.js';

/** Added to the attention scores of what is not attended to; what runtimes look for when they fuse attention. */
const MASKED_SCORE = -10_000;

/**
 * An ONNX model of an encoder with its head, for any batch size and length, in pieces that follow one another.
 * Inputs, int64 [batch, length], named and ordered as transformers' exporters do: `input_ids`, `attention_mask` and, where
 * the family tells apart types of tokens, `token_type_ids`. Outputs, float32: `logits` [batch, labels], or of a span head
 * `start_logits` and `end_logits` [batch, length]. Token thresholds mask tokens, which saves no time.
 *
 * @param weights role -> tensor, each [outputs, inputs] as PyTorch stores it; layers may differ in width or be empty
 * @throws ERR_UNSUPPORTED for token keep rates, and above the 2 GiB of the format
 */
export function encoderOnnx(
  spec: ModelSpec,
  weights: ReadonlyMap<string, TensorData>,
  producerVersion: string,
): Uint8Array[] {
  const builder = new EncoderGraph(spec, weights);
  let hidden = builder.embeddings();
  for (const layer of spec.layers.keys()) hidden = builder.layer(layer, hidden);
  if (spec.head === 'span') builder.spanHead(hidden);
  else builder.sequenceHead(hidden);
  return builder.graph.encode(producerVersion);
}

class EncoderGraph {
  readonly graph = new Graph();
  readonly #spec: ModelSpec;
  readonly #weights: ReadonlyMap<string, TensorData>;
  readonly #ids = this.graph.input('input_ids', ['batch', 'length']);
  readonly #tokens: AliveTokens | undefined;
  /** Of the keys, [batch, 1, 1, length]. */
  #maskScores: string;

  constructor(spec: ModelSpec, weights: ReadonlyMap<string, TensorData>) {
    this.#spec = spec;
    this.#weights = weights;
    const mask = this.graph.input('attention_mask', ['batch', 'length']);
    this.#maskScores = this.#scoresOf(mask);
    if (spec.tokenPruning) this.#tokens = new AliveTokens(this.graph, mask, spec.tokenPruning);
  }

  /** [batch, length] of 0 and 1 -> [batch, 1, 1, length] of MASKED_SCORE and 0. */
  #scoresOf(mask: string): string {
    const { graph } = this;
    const rows = graph.node('Unsqueeze', [mask, graph.integers(1)]);
    const wide = graph.cast(graph.node('Unsqueeze', [rows, graph.integers(2)]), 'f32');
    const inverted = graph.node('Sub', [graph.float(1), wide]);
    return graph.node('Mul', [inverted, graph.float(MASKED_SCORE)]);
  }

  embeddings(): string {
    const { graph } = this;
    const words = graph.node('Gather', [this.#weight('embeddings.word'), this.#ids]);
    const sum = graph.node('Add', [this.#addTokenTypes(words), this.#positions()]);
    return this.#layerNorm('embeddings.norm', sum);
  }

  #addTokenTypes(sum: string): string {
    const { graph } = this;
    if (this.#spec.tokenTypes === 0) return sum;
    const rows = this.#weight('embeddings.tokenType');
    // Nobody feeds the only type there is.
    if (this.#spec.tokenTypes === 1) return graph.node('Add', [sum, rows]);
    const types = graph.input('token_type_ids', ['batch', 'length']);
    return graph.node('Add', [sum, graph.node('Gather', [rows, types])]);
  }

  /** Position embeddings: [length, hidden] of 0, 1, ..., or [batch, length, hidden] where padding has none of its own. */
  #positions(): string {
    const { graph } = this;
    const rows = this.#weight('embeddings.position');
    const { positionPadding } = this.#spec;
    if (positionPadding < 0) {
      const length = graph.node('Slice', [graph.node('Shape', [this.#ids]), graph.integers(1), graph.integers(2)]);
      return graph.node('Slice', [rows, graph.integers(0), length, graph.integers(0)]);
    }
    const padding = graph.integer(positionPadding);
    const real = graph.cast(graph.node('Not', [graph.node('Equal', [this.#ids, padding])]), 'int64');
    const counted = graph.node('Mul', [graph.node('CumSum', [real, graph.integer(1)]), real]);
    return graph.node('Gather', [rows, graph.node('Add', [counted, padding])]);
  }

  layer(layer: number, hidden: string): string {
    const output = this.#ffn(layer, this.#attention(layer, hidden));
    // A sequence head reads the first token alone, which is never dropped.
    return this.#tokens && this.#spec.head === 'span' ? this.#tokens.restore(output, hidden) : output;
  }

  #attention(layer: number, hidden: string): string {
    const { graph } = this;
    const role = `layers.${layer}.attention`;
    const { heads } = this.#spec.layers[layer] as LayerShape;
    if (heads === 0) return this.#emptied(role, 'output', hidden);
    const { headSize } = this.#spec;
    const split = (projection: string, perm: number[]) => {
      const rows = this.#linear(`${role}.${projection}`, hidden);
      return graph.node('Transpose', [graph.node('Reshape', [rows, graph.integers(0, 0, heads, headSize)])], { perm });
    };
    const products = graph.node('MatMul', [split('query', [0, 2, 1, 3]), split('key', [0, 2, 3, 1])]);
    const scores = graph.node('Div', [products, graph.float(Math.sqrt(headSize))]);
    const probabilities = graph.node('Softmax', [graph.node('Add', [scores, this.#maskScores])], { axis: 3 });
    this.#dropTokens(layer, heads, probabilities);
    const context = graph.node('MatMul', [probabilities, split('value', [0, 2, 1, 3])]);
    const together = graph.node('Reshape', [
      graph.node('Transpose', [context], { perm: [0, 2, 1, 3] }),
      graph.integers(0, 0, heads * headSize),
    ]);
    const sum = graph.node('Add', [this.#linear(`${role}.output`, together), hidden]);
    return this.#layerNorm(`${role}.norm`, sum);
  }

  /** Where a later layer, or a span head, could notice. */
  #dropTokens(layer: number, heads: number, probabilities: string): void {
    const { head, layers } = this.#spec;
    if (!this.#tokens || (head === 'sequence' && layer === layers.length - 1)) return;
    this.#tokens.drop(layer, heads, probabilities);
    this.#maskScores = this.#scoresOf(this.#tokens.mask);
  }

  #ffn(layer: number, hidden: string): string {
    const role = `layers.${layer}.ffn`;
    const { neurons } = this.#spec.layers[layer] as LayerShape;
    if (neurons === 0) return this.#emptied(role, 'out', hidden);
    const activations = this.#activation(this.#linear(`${role}.in`, hidden));
    return this.#layerNorm(`${role}.norm`, this.graph.node('Add', [this.#linear(`${role}.out`, activations), hidden]));
  }

  /** classifier(activation(pooler(first token))) */
  sequenceHead(hidden: string): void {
    const { graph } = this;
    const first = graph.node('Gather', [hidden, graph.integer(0)], { axis: 1 });
    const activation = this.#spec.headActivation === 'tanh' ? 'Tanh' : 'Relu';
    const pooled = graph.node(activation, [this.#linear('pooler', first)]);
    graph.output(this.#linear('classifier', pooled), 'logits', ['batch', this.#spec.labels]);
  }

  spanHead(hidden: string): void {
    const { graph } = this;
    const logits = this.#linear('classifier', hidden);
    for (const [column, name] of ['start_logits', 'end_logits'].entries()) {
      graph.output(graph.node('Gather', [logits, graph.integer(column)], { axis: 2 }), name, ['batch', 'length']);
    }
  }

  /** A sub-layer without units adds its bias alone. */
  #emptied(role: string, projection: string, hidden: string): string {
    const sum = this.graph.node('Add', [hidden, this.#weight(`${role}.${projection}.bias`)]);
    return this.#layerNorm(`${role}.norm`, sum);
  }

  #activation(x: string): string {
    const { graph } = this;
    if (this.#spec.activation === 'relu') return graph.node('Relu', [x]);
    return this.#spec.activation === 'gelu' ? this.#erfGelu(x) : this.#tanhGelu(x);
  }

  /** x * (1 + erf(x / sqrt 2)) / 2, in the form that runtimes fuse. */
  #erfGelu(x: string): string {
    const { graph } = this;
    const erf = graph.node('Erf', [graph.node('Div', [x, graph.float(Math.SQRT2)])]);
    const product = graph.node('Mul', [x, graph.node('Add', [erf, graph.float(1)])]);
    return graph.node('Mul', [product, graph.float(0.5)]);
  }

  /** x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2 */
  #tanhGelu(x: string): string {
    const { graph } = this;
    const cubic = graph.node('Mul', [graph.node('Pow', [x, graph.float(3)]), graph.float(0.044715)]);
    const inner = graph.node('Mul', [graph.node('Add', [x, cubic]), graph.float(Math.sqrt(2 / Math.PI))]);
    const outer = graph.node('Add', [graph.node('Tanh', [inner]), graph.float(1)]);
    return graph.node('Mul', [graph.node('Mul', [x, graph.float(0.5)]), outer]);
  }

  #linear(role: string, x: string): string {
    const { graph } = this;
    const weight = graph.node('Transpose', [this.#weight(`${role}.weight`)], { perm: [1, 0] });
    return graph.node('Add', [graph.node('MatMul', [x, weight]), this.#weight(`${role}.bias`)]);
  }

  #layerNorm(role: string, x: string): string {
    const inputs = [x, this.#weight(`${role}.weight`), this.#weight(`${role}.bias`)];
    return this.graph.node('LayerNormalization', inputs, { axis: -1, epsilon: { float: this.#spec.layerNormEpsilon } });
  }

  #weight(role: string): string {
    const tensor = this.#weights.get(role);
    if (tensor === undefined) throw new Error(`the weight ${role} is missing`);
    return this.graph.weight(role, tensor);
  }
}
