import { EspalierError } from './errors.js';

/** Throws ERR_CANCELLED once the signal was aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled(signal);
}

/** What the work comes to, or ERR_CANCELLED as soon as the signal is aborted: for work that cannot be told to stop. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const stop = () => reject(cancelled(signal));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

const cancelled = ({ reason }: AbortSignal): EspalierError =>
  new EspalierError('ERR_CANCELLED', 'the operation was cancelled', { cause: reason });
