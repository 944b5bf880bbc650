// Writes lengths.json: tokens of the first sequences of two GLUE tasks, for machines that have no data. Usage, after a
// build: node bench/cuda/make_lengths.mjs
import { writeFileSync } from 'node:fs';
import { glueBatches } from '../../dist/bench/support/workloads.js';

const BATCH = 256;
const BATCHES = 3;

const lengths = {};
for (const [task, split] of [
  ['sst2', 'dev'],
  ['mrpc', 'train'],
]) {
  const { batches } = await glueBatches(task, split, BATCH, BATCHES);
  lengths[task] = batches.flatMap(({ packed: { offsets } }) =>
    Array.from(offsets.subarray(1), (end, index) => end - offsets[index]),
  );
}
writeFileSync(new URL('lengths.json', import.meta.url), `${JSON.stringify(lengths)}\n`);
