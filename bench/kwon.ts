import { spreadOf } from '../src/latency/rounds.js';
import { type BenchContext, type Benchmark, type Row, VerificationError } from './support/benchmark.js';
import { peakRate } from './support/gemm-peak.js';
import { miniLmModel } from './support/models.js';
import { gradientOperations, sizesOf, tuningOperations } from './support/operations.js';
import { KEEP, type PruneRun, pruneOnMrpc, SAMPLES } from './support/prune-run.js';

const RUNS = 3;
const stages = ['gradients', 'search', 'rearrange', 'tune'] as const;

export const kwon: Benchmark = {
  name: 'kwon',
  title: `Preset kwon on minilm-mrpc, ${SAMPLES} samples, keep ${KEEP}: seconds, and products as a share of peak`,
  async run(context) {
    const prune = () => pruneOnMrpc(() => miniLmModel('mrpc'), context.threads);
    context.log('warming up');
    const first = await prune();
    if (first === undefined) {
      context.log('skipped: the MRPC data are absent (set ESPALIER_SHARED)');
      return [];
    }
    if (first.macs.kept > KEEP) throw new VerificationError(`${first.macs.kept} of the MACs are left`);
    const runs: PruneRun[] = [];
    for (let run = 1; run <= RUNS; run++) {
      context.log(`run ${run} of ${RUNS}`);
      runs.push((await prune()) as PruneRun);
    }
    return stageRows(context, first, runs);
  },
};

async function stageRows({ threads }: BenchContext, { batch, dense, teacher, student }: PruneRun, runs: PruneRun[]) {
  const sizes = sizesOf(batch.offsets);
  const gradients = gradientOperations(dense, sizes);
  const operations: Partial<Record<string, number>> = {
    gradients: gradients.needed,
    'gradients without shortcuts': gradients.nominal,
    tune: tuningOperations(dense, teacher, student, sizes),
  };
  const peak = await peakRate(threads);
  const row = (name: string, stage: (typeof stages)[number]): Row => {
    const { median, lowest, highest } = spreadOf(runs.map(({ seconds }) => seconds[stage]));
    const counted = operations[name];
    return {
      stage: name,
      seconds: median,
      range: `${lowest.toFixed(2)}-${highest.toFixed(2)}`,
      GFLOP: counted === undefined ? '' : counted / 1e9,
      'share of peak': counted === undefined || peak === undefined ? '' : counted / median / peak,
    };
  };
  return [...stages.map((stage) => row(stage, stage)), row('gradients without shortcuts', 'gradients')];
}
