import type { ModelSpec, PackedBatch } from '../native/addon.js';

/** A batch as rows of equal length. */
export interface PaddedBatch {
  shape: [sequences: number, width: number];
  /** By the names that transformers and its ONNX exporters give them. */
  inputs: Record<string, Int32Array>;
  /** Where each token of the packed batch is in them. */
  places: Int32Array;
}

/** @param width tokens of a row; by default as many as the longest sequence has */
export function padBatch(spec: ModelSpec, batch: PackedBatch, width = longestSequence(batch)): PaddedBatch {
  const { ids, tokenTypes, offsets } = batch;
  const sequences = offsets.length - 1;
  const places = new Int32Array(ids.length);
  for (let sequence = 0; sequence < sequences; sequence++) {
    const first = offsets[sequence] as number;
    const end = offsets[sequence + 1] as number;
    for (let token = first; token < end; token++) places[token] = sequence * width + token - first;
  }
  const scattered = (values: Int32Array, padding: number) => {
    const rows = new Int32Array(sequences * width).fill(padding);
    for (const [token, place] of places.entries()) rows[place] = values[token] as number;
    return rows;
  };
  return {
    shape: [sequences, width],
    inputs: {
      // Families that count positions past padding know it by its id; to the others any will do.
      input_ids: scattered(ids, Math.max(spec.positionPadding, 0)),
      attention_mask: scattered(new Int32Array(ids.length).fill(1), 0),
      ...(spec.tokenTypes > 1 && { token_type_ids: scattered(tokenTypes, 0) }),
    },
    places,
  };
}

/**
 * Logits as the engine lays them out.
 *
 * @param outputs `logits`, or of a span head `start_logits` and `end_logits` of all places
 */
export function engineLogits(outputs: Record<string, ArrayLike<number>>, { places }: PaddedBatch): Float32Array {
  const { logits, start_logits: starts = [], end_logits: ends = [] } = outputs;
  if (logits) return Float32Array.from(logits);
  const pairs = new Float32Array(2 * places.length);
  for (const [token, place] of places.entries()) {
    pairs[2 * token] = starts[place] as number;
    pairs[2 * token + 1] = ends[place] as number;
  }
  return pairs;
}

const longestSequence = ({ offsets }: PackedBatch): number =>
  offsets.reduce((longest, end, index) => Math.max(longest, end - (offsets[index - 1] ?? 0)), 0);
