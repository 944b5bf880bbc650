import { writeCheckpoint } from '../checkpoint/checkpoint.js';
import { checkOutput } from '../checkpoint/output-directory.js';
import type { DType, TokenPruning } from '../native/addon.js';
import { Model } from '../native/model.js';
import type { Task } from '../tasks/task.js';
import { LoadedModel } from './model.js';
import { storedWeights } from './stored-weights.js';

export interface SaveOptions {
  /** Replace an existing checkpoint. */
  force?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** What is kept beside a model: it says where, and how long all took. */
interface Report {
  output?: string;
  seconds: { write: number; total: number };
}

/** A model that was made of another one, ready to use and to be saved. */
export class ModelResult<R extends Report> {
  constructor(
    /** With its weights rounded to the dtype they are saved in. */
    readonly model: LoadedModel,
    readonly report: R,
    private readonly reportFile: string,
  ) {}

  /**
   * Writes the checkpoint with the report beside it; the directory appears whole or not at all. Returns the report with
   * what is known once it is written.
   *
   * @throws EspalierError ERR_OUTPUT, ERR_OPTION where the directory is what it was made of, ERR_CANCELLED
   */
  async save(directory: string, options: SaveOptions = {}): Promise<R> {
    const start = performance.now();
    const report = { ...this.report, output: directory };
    const files = { [this.reportFile]: `${JSON.stringify(report, null, 2)}\n` };
    const { checkpoint, native } = this.model;
    checkOutput(directory, options.force, [checkpoint.directory]);
    const weights = await storedWeights(native, checkpoint.dtype);
    await writeCheckpoint({ ...checkpoint, weights }, directory, { ...options, files });
    const write = (performance.now() - start) / 1000;
    return { ...report, seconds: { ...report.seconds, write, total: report.seconds.total + write } };
  }

  /** Frees the model. */
  dispose(): Promise<void> {
    return this.model.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

export interface StoredAs {
  /** By default the source's. */
  dtype?: DType | undefined;
  /** By default the made model's. */
  tokenPruning?: TokenPruning | undefined;
}

/** What became of a model, loaded again from its weights as they will be stored; `made` is freed. */
export async function asStored(
  source: LoadedModel,
  made: Model,
  task: Task,
  { dtype = source.checkpoint.dtype, tokenPruning = made.spec.tokenPruning }: StoredAs,
): Promise<LoadedModel> {
  using native = made;
  const spec = { ...native.spec, tokenPruning };
  const weights = await storedWeights(native, dtype);
  const stored = await Model.create(source.native.engine, spec, weights, 'inference');
  const { config } = source.checkpoint;
  const checkpoint = {
    ...source.checkpoint,
    // So that the new checkpoint needs no --task.
    config: { ...config, espalier: { ...(config.espalier as object | undefined), task: task.name } },
    spec,
    dtype,
    bytes: [...weights.values()].reduce((sum, { data }) => sum + data.byteLength, 0),
  };
  return new LoadedModel(checkpoint, source.tokenizer, stored, 0);
}
