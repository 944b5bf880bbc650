import { join, resolve } from 'node:path';
import type { CheckpointDescription } from '../checkpoint/checkpoint.js';
import { autoClass } from '../checkpoint/python-model.js';
import type { ModelSpec, PackedBatch } from '../native/addon.js';
import { packageRoot } from '../package-root.js';
import { engineLogits, type PaddedBatch, padBatch } from './padding.js';
import { type PythonOptions, PythonProcess } from './python-process.js';
import type { PreparedBatch, Runtime } from './runtime.js';

const script = join(packageRoot, 'src/contenders/pytorch_contender.py');

/** What pytorch_contender.py needs to load a checkpoint. */
export const loadRequest = (
  { directory, spec }: Pick<CheckpointDescription, 'directory' | 'spec'>,
  threads: number,
): object => ({ request: 'load', directory: resolve(directory), auto_class: autoClass(spec), threads });

/** What it needs to have a batch ready. */
export const prepareRequest = ({ inputs, shape }: PaddedBatch): object => ({
  request: 'prepare',
  inputs: Object.fromEntries(Object.entries(inputs).map(([name, values]) => [name, [...values]])),
  shape,
});

/** A checkpoint's directory in PyTorch, by way of transformers, in a process of its own that times itself. */
export class PyTorchRuntime implements Runtime {
  #batches = 0;

  private constructor(
    readonly name: string,
    private readonly process: PythonProcess,
    private readonly spec: ModelSpec,
  ) {}

  /** Throws ERR_OPTION where this Python cannot load it, ERR_CANCELLED. */
  static async open(
    checkpoint: Pick<CheckpointDescription, 'directory' | 'spec'>,
    threads: number,
    options: PythonOptions,
  ): Promise<PyTorchRuntime> {
    const process = new PythonProcess(script, options);
    const { torch } = await process.ask<{ torch: string }>(loadRequest(checkpoint, threads));
    return new PyTorchRuntime(`torch ${torch}`, process, checkpoint.spec);
  }

  /** @param width tokens that every sequence is padded to; by default those of the longest */
  async prepare(packed: PackedBatch, width?: number): Promise<PreparedBatch> {
    const padded = padBatch(this.spec, packed, width);
    await this.process.ask(prepareRequest(padded));
    const batch = this.#batches++;
    return {
      paddedTokens: padded.shape[0] * padded.shape[1],
      run: async () => (await this.process.ask<{ seconds: number }>({ request: 'run', batch })).seconds,
      logits: async () => engineLogits(await this.process.ask({ request: 'logits' }), padded),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]();
  }
}
