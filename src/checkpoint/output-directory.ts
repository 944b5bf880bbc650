import { existsSync, readdirSync, renameSync, statSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EspalierError } from '../native/errors.js';
import {
  checkWritable,
  flush,
  flushDirectory,
  leadToOne,
  type OutputOptions,
  siblingOf,
  writeAtomically,
} from './atomic-output.js';

/**
 * Throws ERR_OUTPUT where `output` cannot be written or exists already; with `force` only where it is something other than
 * a checkpoint or an empty directory, so that a mistyped path never costs anyone their files. Throws ERR_OPTION where it
 * is one of `sources`, checkpoints that the output is made of and that shall be there afterwards. Worth calling before
 * long work.
 */
export function checkOutput(output: string, force = false, sources: readonly string[] = []): void {
  checkWritable(output);
  if (!existsSync(output)) return;
  if (sources.some((source) => leadToOne(source, output))) {
    throw new EspalierError('ERR_OPTION', `${output} is what the output is made of (give another directory)`);
  }
  if (!force) {
    throw new EspalierError('ERR_OUTPUT', `${output} exists (give another directory, or --force to replace it)`);
  }
  if (statSync(output).isDirectory() && holdsAtMostCheckpoint(output)) return;
  throw new EspalierError(
    'ERR_OUTPUT',
    `${output} is no checkpoint directory, or holds more, so it is not replaced (give another directory)`,
  );
}

function holdsAtMostCheckpoint(directory: string): boolean {
  const entries = readdirSync(directory, { withFileTypes: true });
  const names = entries.map(({ name }) => name);
  const isCheckpoint = names.includes('config.json') && names.some((name) => /\.(safetensors|bin)$/.test(name));
  return entries.length === 0 || (isCheckpoint && !entries.some((entry) => entry.isDirectory()));
}

/**
 * Makes a directory whose files `fill` writes. They are written beside the output, flushed to the disk and renamed into
 * place: the output is there whole or not at all, and nothing else is left behind. Throws ERR_OUTPUT, ERR_CANCELLED and
 * what `fill` throws as EspalierError.
 */
export async function writeDirectory(
  output: string,
  { force, signal }: OutputOptions,
  fill: (directory: string) => Promise<void>,
): Promise<void> {
  checkOutput(output, force);
  await writeAtomically(output, signal, {
    fill: async (temporary) => {
      await mkdir(temporary);
      await fill(temporary);
      for (const name of await readdir(temporary)) await flush(join(temporary, name));
      await flushDirectory(temporary);
    },
    place: async (temporary, target) => {
      if (force && existsSync(target)) await replace(temporary, target);
      else renameSync(temporary, target);
    },
  });
}

/**
 * A directory cannot be renamed over a filled one, so the old one steps aside first. Both renames happen in one turn of
 * the event loop; a power cut between them leaves the old checkpoint whole, under its temporary name.
 */
async function replace(temporary: string, target: string): Promise<void> {
  const aside = siblingOf(target);
  renameSync(target, aside);
  try {
    renameSync(temporary, target);
  } catch (error) {
    renameSync(aside, target);
    throw error;
  }
  await rm(aside, { recursive: true, force: true }).catch(() => undefined); // The output stands, whatever stays behind.
}
