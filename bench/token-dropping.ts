import { loadModel } from '../src/api/model.js';
import { timed } from '../src/latency/rounds.js';
import type { LayerShape, ModelSpec } from '../src/native/addon.js';
import type { Model } from '../src/native/model.js';
import { risingThresholds } from '../src/tokens/baselines.js';
import { fitToMacs, savingsOn } from '../src/tokens/fit-to-macs.js';
import { sequenceMacs, type TokenCounts, tokenCounts } from '../src/tokens/token-counts.js';
import { hasShared, sharedPath } from '../test/support/paths.js';
import { type BenchContext, type Benchmark, type Row, VerificationError } from './support/benchmark.js';
import { joined } from './support/join-batches.js';
import { compareThroughput } from './support/throughput.js';
import { glueBatches, type Workload } from './support/workloads.js';

const MACS = [0.7, 0.5, 0.35];
/** How far the measured work may lie from the target. */
const TOLERANCE = 0.01;

export const tokenDropping: Benchmark = {
  name: 'token-dropping',
  title: 'minilm-mrpc dropping tokens against itself on MRPC dev: realised speed-up, and what the MACs promise',
  async run(context) {
    const rows: Row[] = [];
    for (const [batch, count] of [
      [32, 12],
      [256, 1],
    ] as const) {
      const workload = await glueBatches('mrpc', 'dev', batch, count);
      if (!hasShared || workload === undefined) {
        context.log('skipped: the MRPC model and data are absent (set ESPALIER_SHARED)');
        return [];
      }
      await using model = await loadModel(sharedPath('models/minilm-mrpc'), { threads: context.threads });
      for (const macs of context.quick ? MACS.slice(0, 1) : MACS) {
        rows.push(await runTarget(context, model.native, macs, workload));
      }
    }
    return rows;
  },
};

/** Thresholds that rise linearly to where so much is left: speed does not ask how well they were chosen. */
async function runTarget({ rounds, log }: BenchContext, model: Model, macs: number, workload: Workload): Promise<Row> {
  log(`${workload.name}: ${macs} of the MACs`);
  const batch = joined(workload.batches.map(({ packed }) => packed));
  const { at, hardest } = risingThresholds(model.spec.layers.length);
  const pruning = await fitToMacs(model, batch, at, hardest, { macs });
  const { macs: left } = await savingsOn(model, batch, pruning);
  if (Math.abs(left - macs) > TOLERANCE) throw new VerificationError(`${left} of the MACs are left instead of ${macs}`);
  const contenders = [pruning, null].map((own) =>
    timed(own ? 'dropping' : 'dense', async () => {
      for (const { packed } of workload.batches) await model.forward(packed, { pruning: own });
    }),
  );
  const row = await compareThroughput(contenders, workload, rounds);
  const realised = row['vs dense'] as number;
  const counts = tokenCounts(await model.traceTokens(batch, { pruning }), batch, model.spec.layers.length);
  const computedOf = (sequences: TokenCounts[]) =>
    sequences.reduce((sum, sequence) => sum + computedMacs(model.spec, sequence), 0);
  const dense = counts.map((sequence) => sequence.map(() => sequence[0] as number));
  const computed = computedOf(dense) / computedOf(counts);
  return {
    macs: left,
    ...row,
    promised: 1 / left,
    'realised / promised': realised * left,
    computed,
    'realised / computed': realised / computed,
  };
}

/** What is really computed: of the last layer only keys, values and what the first token needs. */
function computedMacs({ hiddenSize, headSize, layers, ...spec }: ModelSpec, counts: TokenCounts): number {
  const { heads, neurons } = layers.at(-1) as LayerShape;
  const tokens = counts.at(-2) as number;
  const whole = sequenceMacs({ hiddenSize, headSize, ...spec, layers: layers.slice(0, -1) }, counts);
  const attention = heads * headSize * (2 * hiddenSize * (tokens + 1) + 2 * tokens);
  return whole + attention + 2 * neurons * hiddenSize;
}
