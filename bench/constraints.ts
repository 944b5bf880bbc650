import { EvaluationBatches } from '../src/api/evaluate.js';
import { loadModel, profile } from '../src/index.js';
import { LatencyCost } from '../src/latency/latency-cost.js';
import { randomBatch } from '../src/latency/measure.js';
import { interleave, ratios, spreadOf, timed } from '../src/latency/rounds.js';
import type { Model } from '../src/native/model.js';
import { macsCost } from '../src/prune/cost.js';
import { measureCurves, pruneOnCurves } from '../src/prune/espalier.js';
import { shareOut } from '../src/prune/share-out.js';
import { drawUnlabelled } from '../src/tasks/calibration.js';
import { findTask } from '../src/tasks/task.js';
import { hasShared, sharedPath } from '../test/support/paths.js';
import { errorOf } from './support/allocations.js';
import type { BenchContext, Benchmark, Row } from './support/benchmark.js';
import { glueExamples } from './support/workloads.js';

const KEEPS = [0.6, 0.4, 0.2];

export const constraints: Benchmark = {
  name: 'constraints',
  title: 'At equal predicted error: pruned under multiply-accumulates, and under latency, batch 256 of real lengths',
  async run(context) {
    if (!hasShared) {
      context.log('skipped: the models and data are absent (set ESPALIER_SHARED)');
      return [];
    }
    const tasks = context.quick ? (['mrpc'] as const) : (['mrpc', 'sst2'] as const);
    const rows: Row[] = [];
    for (const task of tasks) rows.push(...(await compare(context, task)));
    return rows;
  },
};

async function compare({ rounds, threads, quick, log }: BenchContext, name: 'mrpc' | 'sst2'): Promise<Row[]> {
  const task = findTask(name);
  const { loss, maxLength } = task;
  const sequenceLength = task.averageLength as number;
  log(`minilm-${name}: profile`);
  await using model = await loadModel(sharedPath('models', `minilm-${name}`), { threads });
  const { native, tokenizer } = model;
  const { layers } = native.spec;
  const train = await glueExamples(name, 'train');
  const measured = await profile(model, { task: name, texts: train, rounds });
  const latency = new LatencyCost(measured, native.spec);
  const macs = macsCost(native.spec, sequenceLength);
  const batches = await EvaluationBatches.pack(model, task, await glueExamples(name, 'dev'), {});
  const accuracyOf = async (pruned: Model) =>
    (await batches.evaluate(pruned, 'evaluate', {})).evaluation.metrics.accuracy as number;

  log(`minilm-${name}: curves`);
  const samples = await drawUnlabelled(train, task, tokenizer, { maxLength, samples: quick ? 64 : 2048, seed: 0 });
  const options = { loss, seed: 0, sequenceLength };
  const curves = await measureCurves(native, samples, options);
  const batch = randomBatch(native.spec, measured.lengths);
  const rows: Row[] = [];
  for (const keep of KEEPS) {
    log(`minilm-${name}: keep ${keep}`);
    const error = errorOf(shareOut(curves, keep, macs), curves);
    const part = leastPart((part) => errorOf(shareOut(curves, part, latency), curves) <= error, keep);
    const counted = await pruneOnCurves(native, samples, curves, { ...options, keep, costs: macs });
    using underMacs = counted.model;
    using underLatency = (await pruneOnCurves(native, samples, curves, { ...options, keep: part, costs: latency }))
      .model;
    const models = [native, underMacs, underLatency];
    const seconds = await interleave(
      models.map((each) => timed('model', () => each.forward(batch))),
      rounds,
    );
    const [dense = [], ...pruned] = seconds;
    const [a, b] = pruned.map((own) => spreadOf(ratios(own, dense)).median) as [number, number];
    rows.push({
      model: `minilm-${name}`,
      MACs: keep,
      'predicted latency': latency.whole(underMacs.spec.layers) / latency.whole(layers),
      latency: a,
      accuracy: await accuracyOf(underMacs),
      'under latency: predicted': latency.whole(underLatency.spec.layers) / latency.whole(layers),
      'its latency': b,
      'its accuracy': await accuracyOf(underLatency),
      ratio: spreadOf(ratios(pruned[1] as number[], pruned[0] as number[])).median,
    });
  }
  return rows;
}

/** The smallest part of the latency that is enough, to a thousandth. */
function leastPart(enough: (part: number) => boolean, around: number): number {
  let [low, high] = [around / 2, 1];
  while (high - low > 0.001) {
    const middle = (low + high) / 2;
    if (enough(middle)) high = middle;
    else low = middle;
  }
  return high;
}
