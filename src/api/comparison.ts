import type { Model } from '../native/model.js';
import type { Task } from '../tasks/task.js';
import { type Evaluation, EvaluationBatches, examplesFrom, type WorkOptions } from './evaluate.js';
import type { LoadedModel } from './model.js';
import type { StudyOptions } from './prune-study.js';

/** Evaluates the models of one run on the same examples. */
export class Comparison {
  private constructor(private readonly batches: EvaluationBatches) {}

  static async prepare(model: LoadedModel, task: Task, options: StudyOptions): Promise<Comparison | undefined> {
    if (options.eval === undefined) return undefined;
    const examples = await examplesFrom(options.eval, task, options);
    // The mini-batch is the method's; evaluation has its own.
    const batches = await EvaluationBatches.pack(model, task, examples, { ...options, batch: undefined });
    return new Comparison(batches);
  }

  async of(native: Model, stage: string, options: WorkOptions): Promise<Evaluation> {
    return (await this.batches.evaluate(native, stage, options)).evaluation;
  }
}
