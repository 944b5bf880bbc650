import type { Example } from '../data/examples.js';
import type { Model } from '../native/model.js';
import type { Task } from '../tasks/task.js';
import { type DataOptions, type Evaluation, EvaluationBatches, examplesFrom, type WorkOptions } from './evaluate.js';
import type { LoadedModel } from './model.js';

/** Evaluates the models of one run on the same examples. */
export class Comparison {
  private constructor(private readonly batches: EvaluationBatches) {}

  static async prepare(
    model: LoadedModel,
    task: Task,
    source: string | readonly Example[],
    options: DataOptions & WorkOptions,
  ): Promise<Comparison> {
    const examples = await examplesFrom(source, task, options);
    const { maxLength, signal } = options;
    return new Comparison(await EvaluationBatches.pack(model, task, examples, { maxLength, signal }));
  }

  async of(native: Model, stage: string, options: WorkOptions): Promise<Evaluation> {
    return (await this.batches.evaluate(native, stage, options)).evaluation;
  }
}
