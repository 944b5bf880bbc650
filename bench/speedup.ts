import { loadModel, prune } from '../src/index.js';
import { timed } from '../src/latency/rounds.js';
import type { Model } from '../src/native/model.js';
import { type Preset, presets } from '../src/prune/preset.js';
import { hasShared, sharedPath } from '../test/support/paths.js';
import { type BenchContext, type Benchmark, type Row, VerificationError } from './support/benchmark.js';
import { forwardOperations, sizesOf } from './support/operations.js';
import { compareThroughput } from './support/throughput.js';
import { glueBatches, type Workload } from './support/workloads.js';

const KEEPS = [0.6, 0.5, 0.4];
/** Enough for realistic widths; accuracy is not measured here. */
const SAMPLES = 512;

export const speedup: Benchmark = {
  name: 'speedup',
  title: 'minilm-mrpc pruned against itself on MRPC dev: realised speed-up, and what the MACs promise',
  async run(context) {
    const workload = await glueBatches('mrpc', 'dev', 32, 13);
    if (!hasShared || workload === undefined) {
      context.log('skipped: the MRPC model and data are absent (set ESPALIER_SHARED)');
      return [];
    }
    const rows: Row[] = [];
    for (const preset of presets) {
      for (const keep of context.quick ? KEEPS.slice(0, 1) : KEEPS) {
        rows.push(await runKeep(context, preset, keep, workload));
      }
    }
    return rows;
  },
};

async function runKeep(
  { threads, rounds, log }: BenchContext,
  preset: Preset,
  keep: number,
  workload: Workload,
): Promise<Row> {
  log(`${preset}, keep ${keep}`);
  await using model = await loadModel(sharedPath('models/minilm-mrpc'), { threads });
  const train = sharedPath('data/glue/MRPC/train.tsv');
  await using result = await prune(model, { task: 'mrpc', train, keep, preset, samples: SAMPLES });
  const { macs } = result.report.achieved;
  if (macs > keep) throw new VerificationError(`${macs} of the MACs are left instead of ${keep}`);
  const contenders = [result.model, model].map(({ native }, index) =>
    timed(index === 0 ? 'pruned' : 'dense', async () => {
      for (const { packed } of workload.batches) await native.forward(packed);
    }),
  );
  const row = await compareThroughput(contenders, workload, rounds);
  const realised = row['vs dense'] as number;
  const promised = 1 / macs;
  const computed = neededOperations(model.native, workload) / neededOperations(result.model.native, workload);
  return {
    preset,
    keep,
    ...row,
    promised,
    'realised / promised': realised / promised,
    // Neither model computes the last layer of any but first tokens, which the MACs count.
    computed,
    'realised / computed': realised / computed,
  };
}

function neededOperations({ spec }: Model, { batches }: Workload): number {
  return batches.reduce((sum, { packed }) => sum + forwardOperations(spec, sizesOf(packed.offsets)).needed, 0);
}
