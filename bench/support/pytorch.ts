import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { bert } from '../../src/checkpoint/bert.js';
import { tensorName } from '../../src/checkpoint/family.js';
import { writeSafetensors } from '../../src/checkpoint/safetensors-writer.js';
import { repoRoot } from '../../test/support/paths.js';
import type { BenchModel } from './models.js';
import type { Workload } from './workloads.js';

/** A Python process that waits for work: one JSON line a request, one an answer. */
export class PyTorch {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string>;

  constructor(python: string, threads: number) {
    const script = join(repoRoot, 'bench/support/pytorch_contender.py');
    this.#process = spawn(python, [script, String(threads)], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#answers = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async #ask<T>(request: object): Promise<T> {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#answers.next();
    if (done) throw new Error('the Python process ended (does it have torch and transformers?)');
    return JSON.parse(value);
  }

  versions(): Promise<Record<string, string>> {
    return this.#ask({ request: 'versions' });
  }

  /** Loads the same weights, by way of a temporary checkpoint. */
  async load({ spec, weights }: BenchModel): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), 'espalier-bench-'));
    try {
      const tensors = new Map([...weights].map(([role, tensor]) => [tensorName(bert, spec.head, role, true), tensor]));
      await writeSafetensors(join(directory, 'model.safetensors'), tensors);
      const config = {
        architectures: [bert.architectures[spec.head]],
        model_type: bert.name,
        vocab_size: spec.vocabularySize,
        hidden_size: spec.hiddenSize,
        num_hidden_layers: spec.layers.length,
        num_attention_heads: spec.layers[0]?.heads,
        intermediate_size: spec.layers[0]?.neurons,
        max_position_embeddings: spec.maxPositions,
        type_vocab_size: spec.tokenTypes,
        layer_norm_eps: spec.layerNormEpsilon,
        hidden_act: spec.activation,
        num_labels: spec.labels,
      };
      await writeFile(join(directory, 'config.json'), JSON.stringify(config));
      await this.#ask({ request: 'load', directory });
    } finally {
      await rm(directory, { recursive: true });
    }
  }

  async prepare({ batches, labels }: Workload): Promise<void> {
    await this.#ask({
      request: 'prepare',
      batches: batches.map(({ packed, longest }, index) => ({
        ids: [...packed.ids],
        types: [...packed.tokenTypes],
        offsets: [...packed.offsets],
        longest,
        labels: [...(labels[index] as Int32Array)],
      })),
    });
  }

  /** Logits of all prepared batches, and how long they took inside the process. */
  forward(): Promise<{ seconds: number; logits: number[] }> {
    return this.#ask({ request: 'forward' });
  }

  /** Mask gradients of the mean loss of every prepared batch. */
  gradients(): Promise<{ seconds: number; heads: number[]; neurons: number[] }> {
    return this.#ask({ request: 'gradients' });
  }

  close(): void {
    this.#process.stdin.end();
  }
}
