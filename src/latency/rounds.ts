import { median, quantile } from '../statistics.js';

/** Something that does the same work as its rivals, and can be timed again and again. */
export interface Contender {
  name: string;
  /** Does the work once. A contender that times itself, in another process, answers with its seconds. */
  run(): Promise<number | undefined>;
}

/** A contender timed from here. */
export function timed(name: string, work: () => Promise<unknown>): Contender {
  return {
    name,
    run: async () => {
      await work();
      return undefined;
    },
  };
}

export interface Spread {
  median: number;
  lowest: number;
  highest: number;
}

/** Seconds of one batch over the rounds. */
export interface Latency extends Spread {
  p90: number;
  p99: number;
}

/**
 * One round is each contender once; the order turns from round to round. Seconds by contender, round by round.
 *
 * @param onWarm called when every contender has run once, before any is timed
 */
export async function interleave(
  contenders: readonly Pick<Contender, 'run'>[],
  rounds: number,
  onWarm?: () => Promise<void>,
): Promise<number[][]> {
  for (const contender of contenders) await contender.run();
  await onWarm?.();
  const seconds: number[][] = contenders.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const index = (turn + round) % contenders.length;
      const start = performance.now();
      const reported = await contenders[index]?.run();
      seconds[index]?.push(reported ?? (performance.now() - start) / 1000);
    }
  }
  return seconds;
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), lowest: Math.min(...values), highest: Math.max(...values) };
}

export function latencyOf(seconds: readonly number[]): Latency {
  return { ...spreadOf(seconds), p90: quantile(seconds, 0.9), p99: quantile(seconds, 0.99) };
}

/** Round by round: what disturbs a whole round cancels. */
export const ratios = (values: readonly number[], base: readonly number[]): number[] =>
  values.map((value, round) => value / (base[round] as number));
