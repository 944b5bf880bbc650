import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readlinkSync, realpathSync, rmdirSync } from 'node:fs';
import { mkdir, open, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { throwIfAborted } from '../native/cancel.js';
import { EspalierError } from '../native/errors.js';

export interface OutputOptions {
  /** Replace what is there. */
  force?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** How an output comes to be: `fill` makes it under a temporary name beside the target, `place` renames it. */
export interface OutputSteps {
  fill(temporary: string): Promise<void>;
  place(temporary: string, target: string): Promise<void>;
}

/**
 * Throws ERR_OPTION where the path is empty, as an unset variable of a shell is, and ERR_OUTPUT where nothing can be made
 * there. It tries, beside the output: permissions alone do not tell.
 */
export function checkWritable(output: string): void {
  if (output === '') throw new EspalierError('ERR_OPTION', 'the path of an output is empty (give one)');
  let parent = dirname(targetOf(output));
  while (!existsSync(parent)) parent = dirname(parent);
  try {
    rmdirSync(mkdtempSync(join(parent, '.espalier-')));
  } catch (error) {
    throw new EspalierError('ERR_OUTPUT', `cannot write ${output}: ${(error as Error).message} (give another path)`, {
      cause: error,
    });
  }
}

/** Whether two paths lead to one file or directory. */
export const leadToOne = (path: string, other: string): boolean =>
  existsSync(path) && existsSync(other) && realpathSync(path) === realpathSync(other);

/** What a link leads to is replaced or made, not the link. */
function targetOf(output: string): string {
  if (existsSync(output)) return realpathSync(output);
  try {
    return resolve(dirname(output), readlinkSync(output));
  } catch {
    return resolve(output); // no link either
  }
}

/**
 * Makes a file or directory that is there whole or not at all; nothing else is left behind. Throws ERR_OUTPUT,
 * ERR_CANCELLED and what the steps throw as EspalierError.
 */
export async function writeAtomically(output: string, signal: AbortSignal | undefined, steps: OutputSteps) {
  const target = targetOf(output);
  const parent = dirname(target);
  const temporary = siblingOf(target);
  let firstCreated: string | undefined;
  try {
    throwIfAborted(signal);
    firstCreated = await mkdir(parent, { recursive: true });
    await steps.fill(temporary);
    throwIfAborted(signal);
    await steps.place(temporary, target);
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

/** Of a name that is kept in another one, which must not become too long for the file system. */
const mostOfName = 60;

export function siblingOf(target: string): string {
  return join(dirname(target), `.${basename(target).slice(0, mostOfName)}.${randomBytes(6).toString('hex')}`);
}

export async function flush(path: string): Promise<void> {
  const handle = await open(path);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Not every file system can flush a directory, or lets everyone open it; the files themselves are safe by then. */
export async function flushDirectory(path: string): Promise<void> {
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
