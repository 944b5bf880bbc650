import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Example, labelsOf, readExamples } from '../data/examples.js';
import { packExamples } from '../data/pack.js';
import type { PackedBatch } from '../native/addon.js';
import { throwIfAborted } from '../native/cancel.js';
import { longestInput } from '../native/longest-input.js';
import type { Model } from '../native/model.js';
import type { OnProgress } from '../progress.js';
import { type Columns, resolveTask, type Task } from '../tasks/task.js';
import type { LoadedModel } from './model.js';

export interface WorkOptions {
  /** Aborting rejects with ERR_CANCELLED; nothing half-written is left and the model stays usable. */
  signal?: AbortSignal | undefined;
  onProgress?: OnProgress | undefined;
}

export interface DataOptions {
  /** `sst2`, `mrpc`, ..., `classification` or `regression`; by default what config.json names. */
  task?: string | undefined;
  /** Columns of the data file where they are not the task's own. */
  columns?: Partial<Columns> | undefined;
  /** Longest input in tokens; by default the task's. */
  maxLength?: number | undefined;
}

export interface EvaluateOptions extends DataOptions, WorkOptions {
  /** A TSV, CSV or JSONL file, or labelled examples. */
  examples: string | readonly Example[];
  /** Use only the first so many. */
  limit?: number | undefined;
  /** Examples in one forward pass, 32 by default; the metrics do not depend on it. */
  batch?: number | undefined;
}

export interface Evaluation {
  task: string;
  /** Fractions by the task's official names, for example accuracy and f1. */
  metrics: Record<string, number>;
  examples: number;
  /** Tokens computed, special tokens included; there is no padding. */
  tokens: number;
  /** Time of the forward passes. */
  seconds: number;
  tokensPerSecond: number;
}

/**
 * Metrics and throughput of a model on labelled examples.
 *
 * @throws EspalierError ERR_TASK, ERR_DATA, ERR_CANCELLED
 */
export async function evaluate(model: LoadedModel, options: EvaluateOptions): Promise<Evaluation> {
  const task = resolveTask(model.checkpoint, options.task);
  const examples = await examplesFrom(options.examples, task, options.columns);
  const batches = await EvaluationBatches.pack(model, task, examples.slice(0, options.limit), options);
  return batches.evaluate(model.native, 'evaluate', options);
}

export async function examplesFrom(
  source: string | readonly Example[],
  task: Task,
  columns: Partial<Columns> | undefined,
): Promise<readonly Example[]> {
  return typeof source === 'string' ? readExamples(source, task, columns) : source;
}

/** The longest input that both the task and the model's positions allow. */
export function lengthLimit(model: LoadedModel, task: Pick<Task, 'maxLength'>, maxLength: number | undefined): number {
  return Math.min(maxLength ?? task.maxLength, longestInput(model.checkpoint.spec));
}

/** Labelled examples, tokenised once, to evaluate several models on. */
export class EvaluationBatches {
  private constructor(
    private readonly task: Task,
    private readonly labels: ArrayLike<number>,
    private readonly batches: readonly PackedBatch[],
  ) {}

  static async pack(
    model: LoadedModel,
    task: Task,
    examples: readonly Example[],
    { batch = 32, maxLength, signal }: Pick<EvaluateOptions, 'batch' | 'maxLength' | 'signal'>,
  ): Promise<EvaluationBatches> {
    const limit = lengthLimit(model, task, maxLength);
    const batches: PackedBatch[] = [];
    for (let first = 0; first < examples.length; first += batch) {
      throwIfAborted(signal);
      batches.push(packExamples(model.tokenizer, examples.slice(first, first + batch), limit));
      await nextTurn();
    }
    return new EvaluationBatches(task, labelsOf(examples, task), batches);
  }

  async evaluate(model: Model, stage: string, { signal, onProgress }: WorkOptions): Promise<Evaluation> {
    const examples = this.labels.length;
    const classes = model.spec.labels;
    const logits = new Float32Array(examples * classes);
    let done = 0;
    let tokens = 0;
    let milliseconds = 0;
    for (const batch of this.batches) {
      const start = performance.now();
      logits.set(await model.forward(batch, { signal }), done * classes);
      milliseconds += performance.now() - start;
      done += batch.offsets.length - 1;
      tokens += batch.ids.length;
      onProgress?.({ stage, done, total: examples });
    }
    const seconds = milliseconds / 1000;
    return {
      task: this.task.name,
      metrics: this.task.metrics(logits, this.labels, classes),
      examples,
      tokens,
      seconds,
      tokensPerSecond: tokens / seconds,
    };
  }
}
