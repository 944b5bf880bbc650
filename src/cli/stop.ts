/** A signal may come twice, of a terminal and of whoever passes it on: again within this time, it means the same. */
const millisecondsOfOneSignal = 1000;

type StopSignal = 'SIGINT' | 'SIGTERM';

/** Aborted by the first SIGINT or SIGTERM, with its name; a later one ends the process. */
export function stopOnSignals(): AbortSignal {
  const stop = new AbortController();
  let stoppedAt = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) {
        if (performance.now() - stoppedAt > millisecondsOfOneSignal) endBy(signal);
        return;
      }
      stoppedAt = performance.now();
      stop.abort(signal);
    });
  }
  return stop.signal;
}

/** Ends the process as the signal would have done by itself. */
export function endBy(signal: StopSignal): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
