import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { ModelSpec, PackedBatch, TensorData } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import { encoderOnnx } from '../onnx/encoder.js';
import { oneLine } from '../quote.js';
import { version } from '../version.js';
import { engineLogits, padBatch } from './padding.js';
import { failedRun, type PreparedBatch, type Runtime } from './runtime.js';

type Library = typeof import('onnxruntime-node');

/** The same weights in onnxruntime, as the graph that `exportOnnx` writes. */
export class OnnxRuntime implements Runtime {
  private constructor(
    private readonly library: Library,
    private readonly session: InferenceSession,
    private readonly spec: ModelSpec,
  ) {}

  /** Throws ERR_OPTION where onnxruntime-node is not installed, ERR_UNSUPPORTED above the 2 GiB of ONNX. */
  static async open(
    { spec, weights }: { spec: ModelSpec; weights: ReadonlyMap<string, TensorData> },
    threads: number,
  ): Promise<OnnxRuntime> {
    const library = await load();
    const model = Buffer.concat(encoderOnnx(spec, weights, version));
    try {
      const session = await library.InferenceSession.create(model, {
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        logSeverityLevel: 3,
        // Its threads would go on spinning while it is another's turn.
        extra: { session: { force_spinning_stop: '1' } },
      });
      return new OnnxRuntime(library, session, spec);
    } catch (error) {
      throw failedRun('onnxruntime', (error as Error).message);
    }
  }

  get name(): string {
    return `onnxruntime ${this.library.env.versions.node}`;
  }

  /** @param width tokens that every sequence is padded to; by default those of the longest */
  async prepare(batch: PackedBatch, width?: number): Promise<PreparedBatch> {
    const padded = padBatch(this.spec, batch, width);
    const feeds = mapValues(
      padded.inputs,
      (values) => new this.library.Tensor('int64', BigInt64Array.from(values, BigInt), padded.shape),
    );
    let outputs: Record<string, Tensor> = {};
    return {
      paddedTokens: padded.shape[0] * padded.shape[1],
      run: async () => {
        try {
          outputs = await this.session.run(feeds);
        } catch (error) {
          throw failedRun(this.name, (error as Error).message);
        }
        return undefined;
      },
      logits: async () =>
        engineLogits(
          mapValues(outputs, ({ data }) => data as Float32Array),
          padded,
        ),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.session.release();
  }
}

/** The package is not among espalier's dependencies: few need it, and it is large. */
async function load(): Promise<Library> {
  try {
    return await import('onnxruntime-node');
  } catch (error) {
    throw new EspalierError(
      'ERR_OPTION',
      `onnxruntime-node does not load: ${oneLine((error as Error).message)} (npm install onnxruntime-node)`,
      { cause: error },
    );
  }
}

function mapValues<From, To>(record: Record<string, From>, map: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
