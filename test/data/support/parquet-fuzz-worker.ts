import { parentPort, workerData } from 'node:worker_threads';
import { boundArrays, decodeParquet } from '../../../src/data/parquet-decode.js';
import { Random } from '../../../src/data/random.js';
import { mutate } from './mutate.js';

/** Decodes spoilt files from `first` on, announcing each round before it starts: it may be the thread's last. */
const { files, seed, first, rounds } = workerData as {
  files: Uint8Array[];
  seed: number;
  first: number;
  rounds: number;
};

boundArrays();
for (let round = first; round < rounds; round++) {
  parentPort?.postMessage({ round });
  const random = new Random(seed * rounds + round);
  let bytes: Buffer = Buffer.from(files[random.below(files.length)] as Uint8Array);
  for (let times = random.below(3); times >= 0; times--) bytes = mutate(bytes, random);
  parentPort?.postMessage({ rows: await decode(bytes) });
}

/** Rows, or -1 for a refused file. */
async function decode(bytes: Buffer): Promise<number> {
  const slice = (start: number, end = bytes.length) => {
    if (!(start >= 0 && start <= end && end <= bytes.length)) throw new Error('outside of the file');
    return new Uint8Array(bytes.subarray(start, end)).buffer;
  };
  let count = 0;
  try {
    for await (const { columns, rows } of decodeParquet({ byteLength: bytes.length, slice })) {
      count += rows.length;
      for (const fields of rows) {
        if (fields.length !== columns.length) throw new Error('ragged');
      }
    }
    return count;
  } catch {
    return -1;
  }
}
