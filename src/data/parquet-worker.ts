import { type FileHandle, open } from 'node:fs/promises';
import { parentPort, workerData } from 'node:worker_threads';
import type { AsyncBuffer } from 'hyparquet';
import { boundArrays, decodeParquet, type ParquetRows } from './parquet-decode.js';

/** What the thread answers to each message: rows, nothing at the end, or why the file is refused. */
export type ParquetAnswer = { rows?: ParquetRows; error?: string };

boundArrays();
const handle = await open(workerData);
const decoded = decodeParquet(await openRanges(handle));

parentPort?.on('message', async () => {
  const answer: ParquetAnswer = await decoded.next().then(
    ({ value: rows }) => ({ rows }),
    (error: Error) => ({ error: error.message }),
  );
  parentPort?.postMessage(answer);
});

async function openRanges(handle: FileHandle): Promise<AsyncBuffer> {
  const { size: byteLength } = await handle.stat();
  const slice = async (start: number, end = byteLength) => {
    if (!(start >= 0 && start <= end && end <= byteLength)) throw new Error('a part of it lies outside of the file');
    const bytes = new Uint8Array(end - start);
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done);
      if (bytesRead === 0) throw new Error('it became shorter while it was read');
      done += bytesRead;
    }
    return bytes.buffer;
  };
  return { byteLength, slice };
}
