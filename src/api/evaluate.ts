import { setImmediate as nextTurn } from 'node:timers/promises';
import { checkOutputFile, writeOutputFile } from '../checkpoint/output-file.js';
import { type Example, type Label, labelsOf, type ReadOptions, readExamples } from '../data/examples.js';
import type { TokenPruning } from '../native/addon.js';
import { throwIfAborted } from '../native/cancel.js';
import { EspalierError } from '../native/errors.js';
import { longestInput } from '../native/longest-input.js';
import type { Model } from '../native/model.js';
import type { OnProgress } from '../progress.js';
import { type DeviceMemory, deviceMemory } from '../report/device-memory.js';
import { type Prediction, type Reading, resolveTask, type Task } from '../tasks/task.js';
import { TaskBatch } from '../tasks/task-batch.js';
import { countedForward } from '../tokens/counted-forward.js';
import { type TokenCounts, type TokenSavings, tokenSavings } from '../tokens/token-counts.js';
import { checkCount } from './check-count.js';
import type { LoadedModel } from './model.js';

export interface WorkOptions {
  /** Aborting rejects with ERR_CANCELLED; nothing half-written is left and the model stays usable. */
  signal?: AbortSignal | undefined;
  onProgress?: OnProgress | undefined;
}

export interface DataOptions extends Reading {
  /** `sst2`, `mrpc`, ..., `squad`, `classification` or `regression`; by default what config.json names. */
  task?: string | undefined;
}

export interface EvaluateOptions extends DataOptions, WorkOptions {
  /** A data file, or labelled examples. */
  examples: string | readonly Example[];
  /** Use only the first so many. */
  limit?: number | undefined;
  /** Examples in one forward pass, 32 by default; the metrics do not depend on it. */
  batch?: number | undefined;
  /**
   * A file to write with the predictions as the task's official evaluation reads them: {id: answer} of SQuAD, the
   * submission format of GLUE.
   */
  predictions?: string | undefined;
  /** Replace an existing file of that name. */
  force?: boolean | undefined;
}

export interface Evaluation extends DeviceMemory {
  task: string;
  /** Fractions by the task's official names, for example accuracy and f1. */
  metrics: Record<string, number>;
  examples: number;
  /** Tokens computed, special tokens included; there is no padding. */
  tokens: number;
  /** Time of the forward passes. */
  seconds: number;
  tokensPerSecond: number;
  /** Where the model drops tokens. */
  dropping?: TokenSavings;
}

/**
 * Metrics and throughput of a model on labelled examples.
 *
 * @throws EspalierError ERR_OPTION, ERR_TASK, ERR_DATA, ERR_OUTPUT, ERR_CANCELLED
 */
export async function evaluate(model: LoadedModel, options: EvaluateOptions): Promise<Evaluation> {
  const { predictions: output, force, signal } = options;
  const task = resolveTask(model.checkpoint, options.task);
  checkCount('limit', options.limit);
  const files = [model.checkpoint.directory, ...(typeof options.examples === 'string' ? [options.examples] : [])];
  if (output !== undefined) checkOutputFile(output, force, files);
  const examples = (await examplesFrom(options.examples, task, options)).slice(0, options.limit);
  const batches = await EvaluationBatches.pack(model, task, examples, options);
  const { evaluation, predictions } = await batches.evaluate(model.native, 'evaluate', options);
  if (output !== undefined) {
    await writeOutputFile(output, [Buffer.from(task.submission(predictions, examples))], { force, signal });
  }
  return evaluation;
}

export async function examplesFrom(
  source: string | readonly Example[],
  task: Task,
  { columns, format, labels, signal }: Pick<DataOptions & WorkOptions & ReadOptions, 'columns' | keyof ReadOptions>,
): Promise<readonly Example[]> {
  if (typeof source === 'string') return readExamples(source, task, columns, { format, labels, signal });
  if (source.length === 0) throw new EspalierError('ERR_DATA', 'there are no examples (give one or more)');
  return source;
}

export const readingOf = ({ columns, format, maxLength }: Reading): Reading => ({ columns, format, maxLength });

/** The longest input that both the task and the model's positions allow. */
export function lengthLimit(model: LoadedModel, task: Task, maxLength: number | undefined): number {
  return Math.min(maxLength ?? task.maxLength, longestInput(model.checkpoint.spec));
}

/** Labelled examples, tokenised once, to evaluate several models on. */
export class EvaluationBatches {
  private constructor(
    private readonly task: Task,
    private readonly labels: readonly Label[],
    private readonly batches: readonly TaskBatch[],
  ) {}

  static async pack(
    model: LoadedModel,
    task: Task,
    examples: readonly Example[],
    { batch = 32, maxLength, signal }: Pick<EvaluateOptions, 'batch' | 'maxLength' | 'signal'>,
  ): Promise<EvaluationBatches> {
    checkCount('batch', batch);
    const labels = labelsOf(examples, task);
    const limit = lengthLimit(model, task, maxLength);
    const batches: TaskBatch[] = [];
    for (let first = 0; first < examples.length; first += batch) {
      throwIfAborted(signal);
      batches.push(new TaskBatch(task, examples.slice(first, first + batch), model.tokenizer, limit));
      await nextTurn();
    }
    return new EvaluationBatches(task, labels, batches);
  }

  /** `pruning`: in place of what the model's spec says of tokens. */
  async evaluate(
    model: Model,
    stage: string,
    { signal, onProgress, pruning = model.spec.tokenPruning }: WorkOptions & { pruning?: TokenPruning | undefined },
  ): Promise<{ evaluation: Evaluation; predictions: Prediction[] }> {
    const { spec } = model;
    const examples = this.labels.length;
    const predictions: Prediction[] = [];
    const counts: TokenCounts[] = [];
    let tokens = 0;
    let milliseconds = 0;
    for (const batch of this.batches) {
      const start = performance.now();
      const { logits, counts: own = [] } = await countedForward(model, batch.packed, { pruning, signal });
      counts.push(...own);
      milliseconds += performance.now() - start;
      tokens += batch.packed.ids.length;
      for (const prediction of batch.predictions(logits)) predictions.push(prediction);
      onProgress?.({ stage, done: predictions.length, total: examples });
    }
    const seconds = milliseconds / 1000;
    const evaluation = {
      task: this.task.name,
      metrics: this.task.metrics(predictions, this.labels),
      examples,
      tokens,
      seconds,
      tokensPerSecond: tokens / seconds,
      ...(pruning && { dropping: tokenSavings(spec, counts) }),
      ...deviceMemory(model.engine),
    };
    return { evaluation, predictions };
  }
}
