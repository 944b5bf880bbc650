import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { PackedBatch } from '../../src/native/addon.js';
import { encoderOnnx } from '../../src/onnx/encoder.js';
import { version } from '../../src/version.js';
import type { BenchModel } from './models.js';
import { type Batch, sequenceCount, type Workload } from './workloads.js';

/** The same weights in onnxruntime, padded, with as many threads. */
export class OnnxRuntime {
  private constructor(private readonly session: InferenceSession) {}

  static async open({ spec, weights }: BenchModel, threads: number): Promise<OnnxRuntime> {
    const model = Buffer.concat(encoderOnnx(spec, weights, version));
    const options = { intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3 as const };
    return new OnnxRuntime(await InferenceSession.create(model, options));
  }

  /** Padded tensors, made once. The run gives the logits of all batches, one after another. */
  prepare({ batches }: Workload): () => Promise<Float32Array> {
    const feeds = batches.map(padded);
    return async () => {
      const logits: number[] = [];
      for (const feed of feeds) {
        const outputs = await this.session.run(feed);
        logits.push(...((outputs.logits as Tensor).data as Float32Array));
      }
      return Float32Array.from(logits);
    };
  }

  release(): Promise<void> {
    return this.session.release();
  }
}

function padded(batch: Batch): Record<string, Tensor> {
  const { packed, longest } = batch;
  const dims = [sequenceCount(batch), longest];
  const ones = new Int32Array(packed.ids.length).fill(1);
  return {
    input_ids: new Tensor('int64', pad(packed.ids, packed, longest), dims),
    token_type_ids: new Tensor('int64', pad(packed.tokenTypes, packed, longest), dims),
    attention_mask: new Tensor('int64', pad(ones, packed, longest), dims),
  };
}

function pad(values: Int32Array, { offsets }: PackedBatch, longest: number): BigInt64Array {
  const rows = new BigInt64Array((offsets.length - 1) * longest);
  for (let sequence = 0; sequence + 1 < offsets.length; sequence++) {
    const first = offsets[sequence] as number;
    const last = offsets[sequence + 1] as number;
    for (let i = first; i < last; i++) rows[sequence * longest + i - first] = BigInt(values[i] as number);
  }
  return rows;
}
