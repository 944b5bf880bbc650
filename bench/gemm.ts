import type { Benchmark } from './support/benchmark.js';
import { gemmPeak } from './support/gemm-peak.js';

export const gemm: Benchmark = {
  name: 'gemm',
  title: 'Matrix products over BERT-base and MiniLM shapes: share of the multiply-add peak',
  async run({ log, quick }) {
    const lines = await gemmPeak(quick ? ['--quick'] : []);
    if (lines === undefined) {
      log('not built: cmake --preset release && cmake --build --preset release --target gemm_peak');
      return [];
    }
    return lines
      .filter(({ geometricMeanShare }) => geometricMeanShare !== undefined)
      .map(({ product, threads, geometricMeanShare }) => {
        const shares = lines.flatMap((line) =>
          line.product === product && line.threads === threads ? (line.share ?? []) : [],
        );
        return {
          product,
          threads,
          'geometric mean share': geometricMeanShare as number,
          lowest: Math.min(...shares),
          highest: Math.max(...shares),
        };
      });
  },
};
