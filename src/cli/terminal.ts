import pc from 'picocolors';
import type { OnProgress, ProgressEvent } from '../progress.js';

const barWidth = 24;
const redrawMilliseconds = 80;

/** The process's stderr, or what stands in for it in tests. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** Shows progress: bars on a terminal, one plain line a stage elsewhere, nothing when quiet. */
export function showProgress(stream: ProgressStream, quiet: boolean | undefined): OnProgress {
  if (quiet) return () => {};
  return stream.isTTY ? progressBars(stream) : progressLines(stream);
}

function progressBars(stream: ProgressStream): OnProgress {
  const clock = new StageClock();
  let drawn = 0;
  return (event) => {
    const seconds = clock.at(event.stage);
    const over = event.done >= event.total;
    const now = performance.now();
    if (!over && event.done > 0 && now - drawn < redrawMilliseconds) return;
    drawn = now;
    const filled = Math.round((event.done / Math.max(event.total, 1)) * barWidth);
    const bar = pc.green('━'.repeat(filled)) + pc.dim('━'.repeat(barWidth - filled));
    stream.write(
      `\r\x1b[K${event.stage.padEnd(18)} ${bar} ${counts(event)}  ${seconds.toFixed(1)} s${over ? '\n' : ''}`,
    );
  };
}

function progressLines(stream: ProgressStream): OnProgress {
  const clock = new StageClock();
  return (event) => {
    const seconds = clock.at(event.stage);
    if (event.done >= event.total) stream.write(`${event.stage}: ${counts(event)}, ${seconds.toFixed(1)} s\n`);
  };
}

const counts = ({ done, total, note }: ProgressEvent): string =>
  `${done}/${total}${note === undefined ? '' : `, ${note}`}`;

/** Seconds since the first event of the stage that is running. */
class StageClock {
  #stage = '';
  #start = 0;

  at(stage: string): number {
    const now = performance.now();
    if (stage !== this.#stage) {
      this.#stage = stage;
      this.#start = now;
    }
    return (now - this.#start) / 1000;
  }
}
