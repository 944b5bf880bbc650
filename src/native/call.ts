import type { NativeCancelToken } from './addon.js';
import { throwIfAborted } from './cancel.js';
import { type ErrorCode, EspalierError } from './errors.js';
import { addon } from './load.js';

/** Options of every call that works in the background. */
export interface CallOptions {
  /** Aborting rejects the promise with ERR_CANCELLED; the model stays usable. */
  signal?: AbortSignal | undefined;
}

/** What native code throws, as an EspalierError; anything else as it is. */
export function toEspalierError(error: unknown): unknown {
  if (error instanceof Error && !(error instanceof EspalierError) && 'code' in error) {
    const code = String(error.code);
    if (code.startsWith('ERR_')) return new EspalierError(code as ErrorCode, error.message, { cause: error });
  }
  return error;
}

/** Calls native code, translating what it throws. */
export function call<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw toEspalierError(error);
  }
}

/** Awaits native work that a signal may cancel. */
export async function callCancellable<T>(
  signal: AbortSignal | undefined,
  body: (cancel: NativeCancelToken) => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  const token = new (addon().CancelToken)();
  const cancel = () => token.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    return await body(token);
  } catch (error) {
    throw toEspalierError(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}

/** Awaits native work that is too short to cancel. */
export const callAsync = <T>(body: () => Promise<T>): Promise<T> => callCancellable(undefined, body);
