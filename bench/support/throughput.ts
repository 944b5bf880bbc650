import { type Contender, interleave, ratios, spreadOf } from '../../src/latency/rounds.js';
import type { Row } from './benchmark.js';
import { paddedTokens, realTokens, type Workload } from './workloads.js';

/**
 * Real tokens a second of each contender, median and range over the rounds, and how many times as long as the first
 * contender the others take.
 */
export async function compareThroughput(contenders: Contender[], workload: Workload, rounds: number): Promise<Row> {
  const tokens = realTokens(workload);
  const seconds = await interleave(contenders, rounds);
  const row: Row = { workload: workload.name, 'padded/real': paddedTokens(workload) / tokens };
  for (const [index, { name }] of contenders.entries()) {
    const own = seconds[index] as number[];
    const { median, lowest, highest } = spreadOf(own);
    row[name] = tokens / median;
    row[`${name} range`] = `${Math.round(tokens / highest)}-${Math.round(tokens / lowest)}`;
    if (index > 0) row[`vs ${name}`] = spreadOf(ratios(own, seconds[0] as number[])).median;
  }
  return row;
}
