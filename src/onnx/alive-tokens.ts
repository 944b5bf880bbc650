import type { TokenPruning } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import type { Graph } from './graph.js';

/**
 * The tokens of a batch that are still alive, bool [batch, length]: without padding, and from layer to layer fewer. A
 * graph's shapes cannot depend on them, so that dropped tokens are masked: the results are those of dropping them, the
 * time is not.
 */
export class AliveTokens {
  readonly #graph: Graph;
  readonly #thresholds: number[];
  /** float32 [batch, 1], or one for all. */
  readonly #lengths: string;
  readonly #first: string;
  #alive: string;

  /**
   * @param mask int64 [batch, length] of 0 and 1
   * @throws ERR_UNSUPPORTED for keep rates
   */
  constructor(graph: Graph, mask: string, { rule, values, paddedLength }: TokenPruning) {
    if (rule !== 'threshold') {
      throw new EspalierError(
        'ERR_UNSUPPORTED',
        'token keep rates cannot be exported to ONNX (give a checkpoint with token thresholds)',
      );
    }
    this.#graph = graph;
    this.#thresholds = values;
    const counted = graph.node('CumSum', [mask, graph.integer(1)]);
    this.#first = graph.node('Equal', [counted, graph.integer(1)]);
    this.#alive = graph.cast(mask, 'bool');
    this.#lengths = paddedLength
      ? graph.float(paddedLength)
      : graph.node('ReduceSum', [graph.cast(mask, 'f32'), graph.integers(1)], { keepdims: 1 });
  }

  get mask(): string {
    return this.#alive;
  }

  /**
   * Drops what a layer's attention finds less important than its threshold, never the first token.
   * @param probabilities [batch, heads, queries, keys]
   */
  drop(layer: number, heads: number, probabilities: string): void {
    const graph = this.#graph;
    const ofHeads = graph.node('ReduceSum', [probabilities, graph.integers(1)], { keepdims: 0 });
    const queries = graph.node('Unsqueeze', [graph.cast(this.#alive, 'f32'), graph.integers(1)]);
    const sums = graph.node('Squeeze', [graph.node('MatMul', [queries, ofHeads]), graph.integers(1)]);
    const importance = graph.node('Div', [sums, graph.node('Mul', [this.#lengths, graph.float(heads)])]);
    const threshold = graph.float(this.#thresholds[layer] as number);
    const kept = graph.node('Or', [graph.node('GreaterOrEqual', [importance, threshold]), this.#first]);
    this.#alive = graph.node('And', [this.#alive, kept]);
  }

  /** Dropped tokens keep the state that they had before the layer; both [batch, length, hidden]. */
  restore(output: string, input: string): string {
    const rows = this.#graph.node('Unsqueeze', [this.#alive, this.#graph.integers(2)]);
    return this.#graph.node('Where', [rows, output, input]);
  }
}
