import { checkAgreement } from '../../src/contenders/agreement.js';
import type { PreparedBatch } from '../../src/contenders/runtime.js';
import type { Contender } from '../../src/latency/rounds.js';
import type { PackedBatch } from '../../src/native/addon.js';
import type { Workload } from './workloads.js';

/** A runtime that may be told how far to pad. */
export interface PaddingRuntime {
  prepare(batch: PackedBatch, width?: number): Promise<PreparedBatch>;
}

/** Forward passes of all batches of a workload, one after another. */
export class ForwardRun implements Contender {
  private constructor(
    readonly name: string,
    private readonly batches: readonly PreparedBatch[],
  ) {}

  static async prepare(name: string, runtime: PaddingRuntime, { batches }: Workload): Promise<ForwardRun> {
    const prepared: PreparedBatch[] = [];
    for (const { packed, longest } of batches) prepared.push(await runtime.prepare(packed, longest));
    return new ForwardRun(name, prepared);
  }

  async run(): Promise<number | undefined> {
    let seconds: number | undefined;
    for (const batch of this.batches) {
      const own = await batch.run();
      if (own !== undefined) seconds = (seconds ?? 0) + own;
    }
    return seconds;
  }

  async verify(expected: ForwardRun): Promise<void> {
    for (const [index, batch] of this.batches.entries()) {
      const other = expected.batches[index] as PreparedBatch;
      checkAgreement(this.name, await logitsOf(batch), await logitsOf(other));
    }
  }
}

async function logitsOf(batch: PreparedBatch): Promise<Float32Array> {
  await batch.run();
  return batch.logits();
}
