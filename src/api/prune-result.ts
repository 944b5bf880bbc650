import { writeCheckpoint } from '../checkpoint/checkpoint.js';
import type { PruneReport } from '../report/prune-report.js';
import type { LoadedModel } from './model.js';
import { storedWeights } from './stored-weights.js';

export interface SaveOptions {
  /** Replace an existing checkpoint. */
  force?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** A pruned model, ready to use and to be saved. */
export class PruneResult {
  constructor(
    /** The smaller model, with its weights rounded to the dtype they are saved in. */
    readonly model: LoadedModel,
    readonly report: PruneReport,
  ) {}

  /**
   * Writes the checkpoint with pruning.json, the report; the directory appears whole or not at all. Returns the report
   * with what is known once it is written.
   *
   * @throws EspalierError ERR_OUTPUT, ERR_CANCELLED
   */
  async save(directory: string, options: SaveOptions = {}): Promise<PruneReport> {
    const start = performance.now();
    const report = { ...this.report, output: directory };
    const files = { 'pruning.json': `${JSON.stringify(report, null, 2)}\n` };
    const { checkpoint, native } = this.model;
    const weights = await storedWeights(native, checkpoint.dtype);
    await writeCheckpoint({ ...checkpoint, weights }, directory, { ...options, files });
    const write = (performance.now() - start) / 1000;
    return { ...report, seconds: { ...report.seconds, write, total: report.seconds.total + write } };
  }

  /** Frees the smaller model. */
  dispose(): Promise<void> {
    return this.model.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
