import { EspalierError } from './errors.js';

/** Throws ERR_CANCELLED once the signal was aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new EspalierError('ERR_CANCELLED', 'the operation was cancelled', { cause: signal.reason });
}
