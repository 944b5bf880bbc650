import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, realpathSync, renameSync, statSync } from 'node:fs';
import { mkdir, open, readdir, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { throwIfAborted } from '../native/cancel.js';
import { EspalierError } from '../native/errors.js';

export interface OutputOptions {
  /** Replace what is there, if it is a checkpoint. */
  force?: boolean;
  signal?: AbortSignal;
}

/**
 * Throws ERR_OUTPUT where `output` exists already; with `force` only where it is something other than a checkpoint or an
 * empty directory, so that a mistyped path never costs anyone their files. Worth calling before long work.
 */
export function checkOutput(output: string, force = false): void {
  if (!existsSync(output)) return;
  if (!force) {
    throw new EspalierError('ERR_OUTPUT', `${output} exists (give another --output, or --force to replace it)`);
  }
  const names = statSync(output).isDirectory() ? readdirSync(output) : ['a file'];
  if (names.length === 0 || names.includes('config.json')) return;
  throw new EspalierError(
    'ERR_OUTPUT',
    `${output} is no checkpoint directory, so it is not replaced (give another --output)`,
  );
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
  const target = existsSync(output) ? realpathSync(output) : resolve(output);
  const parent = dirname(target);
  const temporary = siblingOf(target);
  let firstCreated: string | undefined;
  try {
    throwIfAborted(signal);
    firstCreated = await mkdir(parent, { recursive: true });
    await mkdir(temporary);
    await fill(temporary);
    await flushAll(temporary);
    throwIfAborted(signal);
    if (force && existsSync(target)) await replace(temporary, target);
    else renameSync(temporary, target);
    await flushDirectory(parent);
  } catch (error) {
    await cleanUp(temporary, parent, firstCreated);
    if (error instanceof EspalierError) throw error;
    const reason = (error as Error).message;
    throw new EspalierError('ERR_OUTPUT', `cannot write ${output}: ${reason} (nothing was left there)`, {
      cause: error,
    });
  }
}

function siblingOf(target: string): string {
  return join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}`);
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

async function flushAll(directory: string): Promise<void> {
  for (const name of await readdir(directory)) await flush(join(directory, name));
  await flushDirectory(directory);
}

async function flush(path: string): Promise<void> {
  const handle = await open(path);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Not every file system can flush a directory, or lets everyone open it; the files themselves are safe by then. */
async function flushDirectory(path: string): Promise<void> {
  await flush(path).catch(() => undefined);
}

/** Removes what a failed output left, its parent directories too if they were made for it. */
async function cleanUp(temporary: string, parent: string, firstCreated: string | undefined): Promise<void> {
  // What made the output fail may make this fail too; the first error is the one to report.
  await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
  if (!firstCreated) return;
  for (let directory = parent; directory.length >= firstCreated.length; directory = dirname(directory)) {
    await rmdir(directory).catch(() => undefined);
  }
}
