import type { PackedBatch } from '../../../src/native/addon.js';
import { LabelledSequences } from '../../../src/tasks/calibration.js';
import { findTask } from '../../../src/tasks/task.js';
import { loadTokenizer } from '../../../src/tokenizer/tokenizer.js';
import { demoExamples } from '../../data/support/demo.js';
import { sentimentMini } from '../../support/paths.js';

/** The first sentences of the demo as sentiment-mini reads them. */
export async function demoSequences(count: number): Promise<LabelledSequences> {
  const tokenizer = await loadTokenizer(sentimentMini);
  return LabelledSequences.of(demoExamples('train', count), findTask('sst2'), tokenizer, { maxLength: 64 });
}

export async function demoBatch(count: number): Promise<PackedBatch> {
  return (await demoSequences(count)).take(Array(count).keys()).batch;
}
