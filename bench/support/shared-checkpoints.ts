import type { LoadedModel } from '../../src/api/model.js';
import { type Example, readExamples } from '../../src/data/examples.js';
import { resolveTask, type Task } from '../../src/tasks/task.js';
import { sharedPath } from '../../test/support/paths.js';

const files: Record<string, { train: string; dev: string; limit?: number }> = {
  mrpc: { train: 'glue/MRPC/train.tsv', dev: 'glue/MRPC/dev.tsv' },
  sst2: { train: 'glue/SST-2/train.tsv', dev: 'glue/SST-2/dev.tsv' },
  stsb: { train: 'glue/STS-B/train.tsv', dev: 'glue/STS-B/dev.tsv' },
  qnli: { train: 'glue/QNLI/train.tsv', dev: 'glue/QNLI/dev.tsv' },
  squad: { train: 'squad/train-v1.1.json', dev: 'squad/dev-v1.1.json', limit: 2000 },
};

/** What a shared checkpoint was tuned for: its name says it. */
export const taskFor = (model: LoadedModel, checkpoint: string): Task =>
  resolveTask(model.checkpoint, checkpoint.slice(checkpoint.lastIndexOf('-') + 1));

/** The training data of a task. */
export const trainingExamples = (task: Task): Promise<Example[]> =>
  readExamples(sharedPath('data', files[task.name]?.train as string), task);

/** What checkpoints of a task are evaluated on. */
export async function developmentExamples(task: Task): Promise<Example[]> {
  const { dev, limit } = files[task.name] as { dev: string; limit?: number };
  return (await readExamples(sharedPath('data', dev), task)).slice(0, limit);
}

/** How many tokens the model sees of an example. */
export const lengthIn =
  ({ tokenizer }: LoadedModel, task: Task) =>
  (example: Example): number =>
    task.encode(example, tokenizer, task.maxLength).reduce((sum, { ids }) => sum + ids.length, 0);
