import type { PackedBatch } from '../native/addon.js';
import type { CallOptions } from '../native/call.js';
import type { Model } from '../native/model.js';
import type { PreparedBatch, Runtime } from './runtime.js';

/** The engine, on the packed batch as it is. The model stays its owner's to dispose of. */
export class EngineRuntime implements Runtime {
  constructor(
    readonly name: string,
    private readonly model: Model,
    private readonly options: CallOptions = {},
  ) {}

  async prepare(batch: PackedBatch): Promise<PreparedBatch> {
    let logits: Float32Array = new Float32Array();
    return {
      run: async () => {
        logits = await this.model.forward(batch, this.options);
        return undefined;
      },
      logits: async () => logits,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
