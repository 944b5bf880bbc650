import { timed } from '../src/latency/rounds.js';
import type { LayerShape, ModelSpec } from '../src/native/addon.js';
import { Engine } from '../src/native/engine.js';
import { Model } from '../src/native/model.js';
import { risingThresholds } from '../src/tokens/baselines.js';
import { fitToMacs } from '../src/tokens/fit-to-macs.js';
import { sequenceMacs, type TokenCounts, tokenCounts, tokenSavings } from '../src/tokens/token-counts.js';
import { type BenchContext, type Benchmark, type Row, VerificationError } from './support/benchmark.js';
import { joined } from './support/join-batches.js';
import { type BenchModel, bertBaseModel, miniLmModel } from './support/models.js';
import { compareThroughput } from './support/throughput.js';
import { glueBatches, type Workload } from './support/workloads.js';

const MACS = [0.7, 0.5, 0.35];
/** How far the measured work may lie from the target. */
const TOLERANCE = 0.01;
const DECISIVENESS = 16;

export const tokenDropping: Benchmark = {
  name: 'token-dropping',
  title: 'Models dropping tokens against themselves on MRPC dev: realised speed-up, and what the MACs promise',
  async run(context) {
    const small = await miniLmModel('mrpc');
    if (context.quick) return runModel(context, small, MACS.slice(0, 1), [[32, 12]]);
    return [
      ...(await runModel(context, small, MACS, [
        [32, 12],
        [256, 1],
      ])),
      ...(await runModel(context, decisive(bertBaseModel()), MACS, [
        [32, 2],
        [256, 1, 4],
      ])),
    ];
  },
};

/** Random queries attend to all tokens alike, so that a threshold takes all or none; large ones have favourites. */
function decisive({ name, spec, weights }: BenchModel): BenchModel {
  const sharpened = new Map(weights);
  for (const [role, tensor] of weights) {
    if (!role.endsWith('query.weight')) continue;
    const values = new Float32Array(tensor.data.slice().buffer).map((value) => value * DECISIVENESS);
    sharpened.set(role, { ...tensor, data: new Uint8Array(values.buffer) });
  }
  return { name, spec, weights: sharpened };
}

/** workloads: size, number and stride (glueBatches) of the batches. */
async function runModel(
  context: BenchContext,
  { name, spec, weights }: BenchModel,
  targets: readonly number[],
  workloads: readonly (readonly [size: number, count: number, stride?: number])[],
): Promise<Row[]> {
  using model = await Model.create(Engine.open({ threads: context.threads }), spec, weights, 'inference');
  const rows: Row[] = [];
  for (const [size, count, stride] of workloads) {
    const workload = await glueBatches('mrpc', 'dev', size, count, stride);
    if (workload === undefined) {
      context.log('skipped: the data is absent (set ESPALIER_SHARED)');
      return [];
    }
    for (const macs of targets) {
      context.log(`${name}: ${workload.name}, ${macs} of the MACs`);
      rows.push({ model: name, ...(await runTarget(context, model, macs, workload)) });
    }
  }
  return rows;
}

/** Thresholds that rise linearly to where so much is left: speed does not ask how well they were chosen. */
async function runTarget({ rounds }: BenchContext, model: Model, macs: number, workload: Workload): Promise<Row> {
  const batch = joined(workload.batches.map(({ packed }) => packed));
  const { at, hardest } = risingThresholds(model.spec.layers.length, 0);
  const pruning = await fitToMacs(model, batch, at, hardest, { macs });
  const traced = await model.traceTokens(batch, { pruning });
  const counts = tokenCounts(traced, batch, model.spec.layers.length);
  const { macs: left } = tokenSavings(model.spec, counts);
  if (Math.abs(left - macs) > TOLERANCE) throw new VerificationError(`${left} of the MACs are left instead of ${macs}`);
  const contenders = [pruning, null].map((own) =>
    timed(own ? 'dropping' : 'dense', async () => {
      for (const { packed } of workload.batches) await model.forward(packed, { pruning: own });
    }),
  );
  const row = await compareThroughput(contenders, workload, rounds);
  const realised = row['vs dense'] as number;
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
