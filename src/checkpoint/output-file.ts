import { existsSync, realpathSync, statSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { throwIfAborted } from '../native/cancel.js';
import { EspalierError } from '../native/errors.js';
import { checkWritable, leadToOne, type OutputOptions, writeAtomically } from './atomic-output.js';

/**
 * Throws ERR_OUTPUT where `output` cannot be written or exists already; with `force` only where it is no regular file.
 * Throws ERR_OPTION where it is one of `sources`, data files and checkpoints that shall be there afterwards, or a file
 * that such a checkpoint is read from.
 */
export function checkOutputFile(output: string, force = false, sources: readonly (string | undefined)[] = []): void {
  checkWritable(output);
  if (!existsSync(output)) return;
  if (sources.some((source) => source !== undefined && isOf(output, source))) {
    throw new EspalierError('ERR_OPTION', `${output} is what the output is made of (give another file)`);
  }
  if (!statSync(output).isFile()) {
    throw new EspalierError('ERR_OUTPUT', `${output} is no regular file, so it is not replaced (give another file)`);
  }
  if (!force) {
    throw new EspalierError('ERR_OUTPUT', `${output} exists (give another file, or --force to replace it)`);
  }
}

/** Files that a checkpoint is read from; an export, or a page, may lie beside them. */
const checkpointFile = /\.(safetensors|bin|json|txt)$/;

function isOf(output: string, source: string): boolean {
  const file = realpathSync(output);
  return leadToOne(file, source) || (checkpointFile.test(file) && leadToOne(dirname(file), source));
}

/**
 * Makes a file of pieces that follow one another. They are written beside the output, flushed to the disk and renamed into
 * place: the output is there whole or not at all. Throws ERR_OUTPUT, ERR_CANCELLED.
 */
export async function writeOutputFile(
  output: string,
  pieces: readonly Uint8Array[],
  { force, signal }: OutputOptions = {},
): Promise<void> {
  checkOutputFile(output, force);
  await writeAtomically(output, signal, {
    fill: async (temporary) => {
      const handle = await open(temporary, 'wx');
      try {
        for (const piece of pieces) {
          throwIfAborted(signal);
          await handle.writeFile(piece);
        }
        await handle.sync();
      } finally {
        await handle.close();
      }
    },
    place: rename,
  });
}
