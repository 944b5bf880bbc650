import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { weightShapes } from '../checkpoint/roles.js';
import type { Example } from '../data/examples.js';
import { throwIfAborted } from '../native/cancel.js';
import type { DataIdentity, ModelIdentity, WorkSettings } from '../report/work-settings.js';
import type { Reading, Task } from '../tasks/task.js';
import type { LoadedModel } from './model.js';

/** Examples hashed between two looks at the event loop. */
const examplesInOneTurn = 1024;

/** @param train what `options.train` holds. Throws ERR_CANCELLED. */
export async function workSettings(
  model: LoadedModel,
  task: Task,
  options: Reading & { train: string | readonly Example[]; signal?: AbortSignal | undefined },
  train: readonly Example[],
): Promise<WorkSettings> {
  const { columns, format, maxLength, signal } = options;
  return {
    model: await modelIdentity(model, signal),
    task: task.name,
    train: await dataIdentity(options.train, train, signal),
    precision: model.precision,
    columns,
    format,
    maxLength,
  };
}

/** Throws ERR_CANCELLED. */
export async function modelIdentity(
  { native, checkpoint }: LoadedModel,
  signal: AbortSignal | undefined,
): Promise<ModelIdentity> {
  const hash = createHash('sha256').update(JSON.stringify(native.spec));
  for (const role of weightShapes(native.spec).keys()) {
    throwIfAborted(signal);
    hash.update((await native.weight(role, 'f32')).data);
  }
  return { checkpoint: checkpoint.directory, sha256: hash.digest('hex') };
}

/** @param examples what `given` holds. Throws ERR_CANCELLED. */
export async function dataIdentity(
  given: string | readonly Example[],
  examples: readonly Example[],
  signal: AbortSignal | undefined,
): Promise<DataIdentity> {
  const hash = createHash('sha256');
  for (let first = 0; first < examples.length; first += examplesInOneTurn) {
    hash.update(JSON.stringify(examples.slice(first, first + examplesInOneTurn)));
    await nextTurn();
    throwIfAborted(signal);
  }
  return { ...(typeof given === 'string' && { file: given }), count: examples.length, sha256: hash.digest('hex') };
}
