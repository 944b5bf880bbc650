import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { PackedBatch } from '../../../src/native/addon.js';

/** An ONNX model in onnxruntime. */
export class OnnxSession {
  private constructor(private readonly session: InferenceSession) {}

  /** @param model its bytes, or the path of its file */
  static async open(model: Uint8Array | string): Promise<OnnxSession> {
    const options = { logSeverityLevel: 3, intraOpNumThreads: 1 } as const;
    // The binding declares one overload for each.
    const session =
      typeof model === 'string'
        ? await InferenceSession.create(model, options)
        : await InferenceSession.create(model, options);
    return new OnnxSession(session);
  }

  get inputs(): readonly string[] {
    return this.session.inputNames;
  }

  get outputs(): readonly string[] {
    return this.session.outputNames;
  }

  /**
   * The logits in the engine's layout: [sequences, labels], or of a span head [tokens, 2] without padding. The batch is
   * padded with `padding` to its longest sequence and `extra` further tokens.
   */
  async logits(batch: PackedBatch, { padding = 0, extra = 0 } = {}): Promise<Float32Array> {
    const { ids, tokenTypes } = batch;
    const places = paddedPlaces(batch, extra);
    const feeds = {
      input_ids: scattered(ids, places, padding),
      attention_mask: scattered(new Int32Array(ids.length).fill(1), places, 0),
      token_type_ids: scattered(tokenTypes, places, 0),
    };
    const fed = Object.entries(feeds).filter(([name]) => this.inputs.includes(name));
    const outputs = await this.session.run(Object.fromEntries(fed));
    const data = (name: string) => (outputs[name] as Tensor).data as Float32Array;
    if (this.outputs.length === 1) return data('logits');
    const [start, end] = [data('start_logits'), data('end_logits')];
    return Float32Array.from(places.indices.flatMap((place) => [start[place] as number, end[place] as number]));
  }

  release(): Promise<void> {
    return this.session.release();
  }
}

/** Where the tokens of a packed batch are in [sequences, longest + extra]. */
interface Places {
  dims: [number, number];
  indices: number[];
}

function paddedPlaces({ offsets }: PackedBatch, extra: number): Places {
  const lengths = Array.from(offsets.subarray(1), (end, sequence) => end - (offsets[sequence] as number));
  const width = Math.max(...lengths) + extra;
  const indices = lengths.flatMap((length, row) => Array.from({ length }, (_, column) => row * width + column));
  return { dims: [lengths.length, width], indices };
}

function scattered(values: Int32Array, { dims, indices }: Places, padding: number): Tensor {
  const data = new BigInt64Array(dims[0] * dims[1]).fill(BigInt(padding));
  for (const [token, place] of indices.entries()) data[place] = BigInt(values[token] as number);
  return new Tensor('int64', data, dims);
}
