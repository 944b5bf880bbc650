import { type Example, readExamples } from '../../src/data/examples.js';
import { packSequences } from '../../src/data/pack.js';
import { randomBatch } from '../../src/latency/measure.js';
import type { PackedBatch } from '../../src/native/addon.js';
import { findTask } from '../../src/tasks/task.js';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { hasShared, sharedPath } from '../../test/support/paths.js';

/** Sequences that are run together. */
export interface Batch {
  packed: PackedBatch;
  /** What contenders that pad have to pad to. */
  longest: number;
}

export interface Workload {
  name: string;
  batches: Batch[];
  /** Class of every sequence, batch by batch. */
  labels: Int32Array[];
}

export const sequenceCount = ({ packed }: Batch): number => packed.offsets.length - 1;
export const realTokens = ({ batches }: Workload): number =>
  batches.reduce((sum, { packed }) => sum + packed.ids.length, 0);
export const paddedTokens = ({ batches }: Workload): number =>
  batches.reduce((sum, batch) => sum + sequenceCount(batch) * batch.longest, 0);

/** Random ids, every sequence as long as the others. */
export function equalLengths(sequences: number, length: number, vocabularySize: number): Workload {
  const packed = randomBatch({ vocabularySize }, new Array(sequences).fill(length));
  return { name: `length ${length}`, batches: [{ packed, longest: length }], labels: [new Int32Array(sequences)] };
}

const glueFolders = { sst2: 'SST-2', mrpc: 'MRPC' };
type Split = 'train' | 'dev';
type GlueTask = keyof typeof glueFolders;

/**
 * Batches of a GLUE file in file order. Of every batch each `stride`-th sequence is run, padded as far as the
 * whole batch would be: a large batch's padding at a small batch's price. Undefined where the shared data is absent.
 */
export async function glueBatches(
  task: GlueTask,
  split: Split,
  batchSize: number,
  batchCount: number,
  stride = 1,
): Promise<Workload | undefined> {
  if (!hasShared) return undefined;
  const { encode, maxLength } = findTask(task);
  const tokenizer = await loadTokenizer(sharedPath('models', `minilm-${task}`));
  const pack = (some: Example[]) => packSequences(some.flatMap((example) => encode(example, tokenizer, maxLength)));
  const examples = (await glueExamples(task, split)).slice(0, batchSize * batchCount);
  const batches: Batch[] = [];
  const labels: Int32Array[] = [];
  for (let first = 0; first < examples.length; first += batchSize) {
    const batch = examples.slice(first, first + batchSize);
    const { offsets } = pack(batch);
    const longest = batch.reduce(
      (most, _, i) => Math.max(most, (offsets[i + 1] as number) - (offsets[i] as number)),
      0,
    );
    const run = batch.filter((_, index) => index % stride === 0);
    batches.push({ packed: pack(run), longest });
    labels.push(Int32Array.from(run, ({ label }) => label as number));
  }
  return { name: `${glueFolders[task]} ${split}, batch ${batchSize}`, batches, labels };
}

export function glueExamples(task: GlueTask, split: Split): Promise<Example[]> {
  return readExamples(sharedPath('data/glue', glueFolders[task], `${split}.tsv`), findTask(task));
}
