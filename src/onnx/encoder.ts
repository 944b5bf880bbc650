import type { ModelSpec, TensorData } from '../native/addon.js';
import { Graph } from './graph.js';

/** Added to the attention scores of padding; what runtimes look for when they fuse attention. */
const PADDING_SCORE = -10_000;

/**
 * An ONNX model of an encoder with its head, for any batch size and length, in pieces that follow one another.
 * Inputs, int64 [batch, length], named and ordered as transformers' exporters do: `input_ids`, `attention_mask` and, where
 * the family tells apart types of tokens, `token_type_ids`. Outputs, float32: `logits` [batch, labels], or of a span head
 * `start_logits` and `end_logits` [batch, length].
 *
 * @param weights role -> tensor, each [outputs, inputs] as PyTorch stores it; layers may differ in width or be empty
 */
export function encoderOnnx(
  spec: ModelSpec,
  weights: ReadonlyMap<string, TensorData>,
  producerVersion: string,
): Uint8Array[] {
  const builder = new EncoderGraph(spec, weights);
  let hidden = builder.embeddings();
  for (const [index, { heads, neurons }] of spec.layers.entries()) {
    hidden = builder.attention(`layers.${index}.attention`, heads, hidden);
    hidden = builder.ffn(`layers.${index}.ffn`, neurons, hidden);
  }
  if (spec.head === 'span') builder.spanHead(hidden);
  else builder.sequenceHead(hidden);
  return builder.graph.encode(producerVersion);
}

class EncoderGraph {
  readonly graph = new Graph();
  readonly #spec: ModelSpec;
  readonly #weights: ReadonlyMap<string, TensorData>;
  readonly #ids = this.graph.input('input_ids', ['batch', 'length']);
  readonly #padding: string;

  constructor(spec: ModelSpec, weights: ReadonlyMap<string, TensorData>) {
    this.#spec = spec;
    this.#weights = weights;
    this.#padding = this.#paddingScores(this.graph.input('attention_mask', ['batch', 'length']));
  }

  /** [batch, length] of 0 and 1 -> [batch, 1, 1, length] of PADDING_SCORE and 0. */
  #paddingScores(mask: string): string {
    const { graph } = this;
    const rows = graph.node('Unsqueeze', [mask, graph.integers(1)]);
    const wide = graph.cast(graph.node('Unsqueeze', [rows, graph.integers(2)]), 'f32');
    const inverted = graph.node('Sub', [graph.float(1), wide]);
    return graph.node('Mul', [inverted, graph.float(PADDING_SCORE)]);
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

  attention(role: string, heads: number, hidden: string): string {
    const { graph } = this;
    if (heads === 0) return this.#emptied(role, 'output', hidden);
    const { headSize } = this.#spec;
    const split = (projection: string, perm: number[]) => {
      const rows = this.#linear(`${role}.${projection}`, hidden);
      return graph.node('Transpose', [graph.node('Reshape', [rows, graph.integers(0, 0, heads, headSize)])], { perm });
    };
    const products = graph.node('MatMul', [split('query', [0, 2, 1, 3]), split('key', [0, 2, 3, 1])]);
    const scores = graph.node('Div', [products, graph.float(Math.sqrt(headSize))]);
    const probabilities = graph.node('Softmax', [graph.node('Add', [scores, this.#padding])], { axis: 3 });
    const context = graph.node('MatMul', [probabilities, split('value', [0, 2, 1, 3])]);
    const together = graph.node('Reshape', [
      graph.node('Transpose', [context], { perm: [0, 2, 1, 3] }),
      graph.integers(0, 0, heads * headSize),
    ]);
    const sum = graph.node('Add', [this.#linear(`${role}.output`, together), hidden]);
    return this.#layerNorm(`${role}.norm`, sum);
  }

  ffn(role: string, neurons: number, hidden: string): string {
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
