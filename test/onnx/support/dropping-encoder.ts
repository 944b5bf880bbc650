import type { ModelSpec, PackedBatch, TensorData, TokenPruning } from '../../../src/native/addon.js';

type Matrix = number[][];

/**
 * The logits of a model with token thresholds and ReLU, in double precision and the plainest way: a sequence at a time,
 * dropped tokens leave the matrix. In the engine's layout: [sequences, labels], or of a span head [tokens, 2].
 */
export function droppingLogits(
  spec: ModelSpec,
  weights: ReadonlyMap<string, TensorData>,
  { ids, tokenTypes, offsets }: PackedBatch,
): number[] {
  const encoder = new DroppingEncoder(spec, weights);
  return Array.from(offsets.subarray(1), (end, sequence) => {
    const tokens = [offsets[sequence] as number, end] as const;
    return encoder.logits([...ids.subarray(...tokens)], [...tokenTypes.subarray(...tokens)]).flat();
  }).flat();
}

class DroppingEncoder {
  readonly #spec: ModelSpec;
  readonly #weights: ReadonlyMap<string, TensorData>;

  constructor(spec: ModelSpec, weights: ReadonlyMap<string, TensorData>) {
    this.#spec = spec;
    this.#weights = weights;
  }

  logits(ids: number[], types: number[]): Matrix {
    const states = this.#embeddings(ids, types);
    let alive = ids.map((_, token) => token);
    for (const [layer, { heads }] of this.#spec.layers.entries()) {
      const hidden = alive.map((token) => states[token] as number[]);
      const { context, importance } = this.#attention(layer, heads, hidden, ids.length);
      const kept = alive
        .map((_, row) => row)
        .filter((row) => row === 0 || this.#goesOn(layer, importance[row] as number));
      alive = kept.map((row) => alive[row] as number);
      const outputs = this.#ffn(layer, select(context, kept), select(hidden, kept));
      for (const [row, token] of alive.entries()) states[token] = outputs[row] as number[];
    }
    if (this.#spec.head === 'span') return this.#linear('classifier', states);
    const activation = this.#spec.headActivation === 'tanh' ? Math.tanh : relu;
    return this.#linear('classifier', mapped(this.#linear('pooler', states.slice(0, 1)), activation));
  }

  #goesOn(layer: number, importance: number): boolean {
    const { layers, head, tokenPruning } = this.#spec;
    const last = head === 'sequence' && layer === layers.length - 1;
    return last || layers[layer]?.heads === 0 || importance >= ((tokenPruning as TokenPruning).values[layer] as number);
  }

  #embeddings(ids: number[], types: number[]): Matrix {
    const { positionPadding, tokenTypes } = this.#spec;
    let next = positionPadding + 1;
    const positions = ids.map((id) => (id === positionPadding ? id : next++));
    const words = select(this.#matrix('embeddings.word'), ids);
    const placed = added(words, select(this.#matrix('embeddings.position'), positions));
    if (tokenTypes === 0) return this.#norm('embeddings.norm', placed);
    const rows = types.map((type) => (tokenTypes === 1 ? 0 : type));
    return this.#norm('embeddings.norm', added(placed, select(this.#matrix('embeddings.tokenType'), rows)));
  }

  /** Context [tokens, heads * headSize], and the mean over heads and queries of each key's probabilities. */
  #attention(layer: number, heads: number, hidden: Matrix, length: number): { context: Matrix; importance: number[] } {
    const { headSize, tokenPruning } = this.#spec;
    const [queries, keys, values] = (['query', 'key', 'value'] as const).map((part) =>
      this.#linear(`layers.${layer}.attention.${part}`, hidden),
    ) as [Matrix, Matrix, Matrix];
    const importance = hidden.map(() => 0);
    const context: Matrix = hidden.map(() => []);
    for (let head = 0; head < heads; head++) {
      const columns = [head * headSize, (head + 1) * headSize] as const;
      for (const [row, query] of queries.entries()) {
        const scores = keys.map((key) => dot(query.slice(...columns), key.slice(...columns)) / Math.sqrt(headSize));
        const exponentials = scores.map(Math.exp);
        const total = sum(exponentials);
        const probabilities = exponentials.map((value) => value / total);
        for (const [key, probability] of probabilities.entries()) {
          importance[key] = (importance[key] as number) + probability / heads / (tokenPruning?.paddedLength ?? length);
        }
        for (let column = columns[0]; column < columns[1]; column++) {
          context[row]?.push(
            dot(
              probabilities,
              values.map((value) => value[column] as number),
            ),
          );
        }
      }
    }
    return { context, importance };
  }

  #ffn(layer: number, context: Matrix, hidden: Matrix): Matrix {
    const role = `layers.${layer}`;
    const attended = this.#norm(
      `${role}.attention.norm`,
      added(this.#linear(`${role}.attention.output`, context), hidden),
    );
    const inner = mapped(this.#linear(`${role}.ffn.in`, attended), relu);
    return this.#norm(`${role}.ffn.norm`, added(this.#linear(`${role}.ffn.out`, inner), attended));
  }

  #linear(role: string, rows: Matrix): Matrix {
    const [weight, bias] = [this.#matrix(`${role}.weight`), this.#vector(`${role}.bias`)];
    return rows.map((row) => bias.map((shift, output) => shift + dot(row, weight[output] as number[])));
  }

  #norm(role: string, rows: Matrix): Matrix {
    const [weight, bias] = [this.#vector(`${role}.weight`), this.#vector(`${role}.bias`)];
    return rows.map((row) => {
      const mean = sum(row) / row.length;
      const variance = sum(row.map((value) => (value - mean) ** 2)) / row.length;
      const scale = 1 / Math.sqrt(variance + this.#spec.layerNormEpsilon);
      return row.map((value, n) => (value - mean) * scale * (weight[n] as number) + (bias[n] as number));
    });
  }

  #vector(role: string): number[] {
    const { data } = this.#weights.get(role) as TensorData;
    return [...new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4)];
  }

  #matrix(role: string): Matrix {
    const [rows, columns] = (this.#weights.get(role) as TensorData).shape as [number, number];
    const values = this.#vector(role);
    return Array.from({ length: rows }, (_, row) => values.slice(row * columns, (row + 1) * columns));
  }
}

const relu = (x: number): number => Math.max(x, 0);
const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
const dot = (a: number[], b: number[]): number => sum(a.map((value, n) => value * (b[n] as number)));
const select = (rows: Matrix, indices: number[]): Matrix => indices.map((index) => rows[index] as number[]);
const mapped = (rows: Matrix, f: (x: number) => number): Matrix => rows.map((row) => row.map(f));
const added = (a: Matrix, b: Matrix): Matrix =>
  a.map((row, n) => row.map((value, column) => value + (b[n]?.[column] as number)));
