import { stat } from 'node:fs/promises';

/** Size in bytes. Throws a plain Error for anything but a regular file: a named pipe would be waited on for ever. */
export async function regularFileSize(path: string): Promise<number> {
  const stats = await stat(path);
  if (!stats.isFile()) throw new Error('it is no regular file');
  return stats.size;
}
