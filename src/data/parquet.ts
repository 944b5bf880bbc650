import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { throwIfAborted } from '../native/cancel.js';
import { EspalierError } from '../native/errors.js';
import { oneLine } from '../quote.js';
import type { ParquetAnswer } from './parquet-worker.js';
import type { Row } from './rows.js';
import { cannotRead, standardInput } from './text.js';

/** Far above what the decoder's own bounds allow it to need. */
const heapMegabytes = 4096;

/**
 * The columns of a parquet file that hold texts or labels, row group by row group. It is decoded in a thread of its own: a broken or hostile
 * file can make the decoder run for ever, so `seconds` without a row end it. Throws ERR_DATA,
 * ERR_CANCELLED.
 */
export async function* readParquet(
  file: string,
  { seconds = 600, signal }: { seconds?: number; signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Row> {
  if (!(await isRegularFile(file))) {
    throw new EspalierError('ERR_DATA', `${file} is no regular file, which parquet needs (write it to one first)`);
  }
  const worker = new Worker(new URL('./parquet-worker.js', import.meta.url), {
    workerData: file,
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
  });
  const ended = once(worker, 'exit').then(() => Promise.reject(new Error('the decoder ended')));
  ended.catch(() => undefined);
  try {
    let number = 0;
    for (;;) {
      const decoded = await nextRows(worker, ended, file, seconds, signal);
      if (!decoded) return;
      for (const fields of decoded.rows) {
        number++;
        const values = Object.fromEntries(decoded.columns.map((name, index) => [name, fields[index]]));
        yield { where: `row ${number}`, values };
      }
    }
  } finally {
    await worker.terminate();
  }
}

async function isRegularFile(file: string): Promise<boolean> {
  try {
    return file !== standardInput && (await stat(file)).isFile();
  } catch (error) {
    throw cannotRead(file, error);
  }
}

async function nextRows(worker: Worker, ended: Promise<never>, file: string, seconds: number, signal?: AbortSignal) {
  worker.postMessage('next');
  const late = AbortSignal.timeout(seconds * 1000);
  const message = once(worker, 'message', { signal: signal ? AbortSignal.any([late, signal]) : late });
  const answer: ParquetAnswer = await Promise.race([message, ended]).then(
    ([value]) => value,
    (error: Error) => {
      throwIfAborted(signal);
      throw new EspalierError('ERR_DATA', `${file} ${describe(error, seconds)}`, { cause: error });
    },
  );
  if (answer.error === undefined) return answer.rows;
  throw new EspalierError('ERR_DATA', `${file} cannot be read as parquet: ${oneLine(answer.error)}`);
}

function describe(error: Error, seconds: number): string {
  if (error.name === 'AbortError') return `took over ${seconds} s to decode (write smaller row groups)`;
  return `cannot be read as parquet: ${oneLine(error.message)}`;
}
