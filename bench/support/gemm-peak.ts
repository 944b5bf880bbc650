import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { median } from '../../src/statistics.js';
import { repoRoot } from '../../test/support/paths.js';

const program = join(repoRoot, 'build/native-release/bench/native/gemm_peak');

/** A shape with its rate, or the mean over the shapes of a product. */
export interface PeakLine {
  threads: number;
  product: string;
  /** Multiply-add operations a second that the processor can do, in GFLOP/s. */
  peak?: number;
  share?: number;
  geometricMeanShare?: number;
}

/** What bench/native/gemm_peak prints; undefined when it was not built. */
export async function gemmPeak(args: string[]): Promise<PeakLine[] | undefined> {
  if (!existsSync(program)) return undefined;
  const { stdout } = await promisify(execFile)(program, args);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** FLOP/s that so many threads can do at once; undefined when the program was not built. */
export async function peakRate(threads: number): Promise<number | undefined> {
  const lines = await gemmPeak(['--quick', String(threads)]);
  return lines && median(lines.flatMap(({ peak }) => peak ?? [])) * 1e9;
}
