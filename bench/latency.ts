import { Random } from '../src/data/random.js';
import { LatencyCost } from '../src/latency/latency-cost.js';
import type { LatencyProfile } from '../src/latency/latency-profile.js';
import { emptyProfile, measureLatencies, randomBatch, unitsOf } from '../src/latency/measure.js';
import { piecewiseLinearCurve } from '../src/latency/piecewise-linear.js';
import { interleave, ratios, spreadOf, timed } from '../src/latency/rounds.js';
import type { LayerShape } from '../src/native/addon.js';
import { Engine } from '../src/native/engine.js';
import { Model } from '../src/native/model.js';
import type { ErrorCurve } from '../src/prune/error-curves.js';
import { measureCurves, pruneOnCurves } from '../src/prune/espalier.js';
import { shareOut } from '../src/prune/share-out.js';
import { unitKindOf } from '../src/prune/units.js';
import { mean, median } from '../src/statistics.js';
import { drawLengths, drawUnlabelled } from '../src/tasks/calibration.js';
import { findTask } from '../src/tasks/task.js';
import { loadTokenizer } from '../src/tokenizer/tokenizer.js';
import { hasShared, sharedPath } from '../test/support/paths.js';
import { errorOf, layersWithout } from './support/allocations.js';
import type { BenchContext, Benchmark, Row } from './support/benchmark.js';
import { type BenchModel, bertBaseModel, miniLmModel } from './support/models.js';
import { glueExamples } from './support/workloads.js';

const BATCH = 256;
const SHAPES = 20;
const KEEPS = [0.8, 0.65, 0.5];
/** Enough for realistic widths; accuracy is not measured here. */
const SAMPLES = 256;

export const latencyPrediction: Benchmark = {
  name: 'latency-prediction',
  title: `Latency predicted by espalier profile against measured, ${SHAPES} random shapes, batch ${BATCH} of real lengths`,
  run: (context) => forEachModel(context, predictShapes),
};

export const latencyConstraint: Benchmark = {
  name: 'latency-constraint',
  title: `Pruned to a part of the latency, against the dense model, batch ${BATCH} of real lengths`,
  run: (context) => forEachModel(context, pruneToLatency),
};

export const latencySteps: Benchmark = {
  name: 'latency-steps',
  title: 'FFNs of nearly equal widths in turns: where the kernels take a step',
  async run({ rounds, threads, log }) {
    const loaded = await miniLmModel('mrpc');
    log(loaded.name);
    using model = await open(loaded, threads);
    const batch = randomBatch(model.spec, new Array(STEP_SEQUENCES).fill(128));
    const shapes: Model[] = [];
    try {
      for (const neurons of STEP_WIDTHS) {
        const units = unitsOf(model.spec.layers, (_, sublayer) => (sublayer === 'ffn' ? neurons : 0));
        shapes.push(await model.select(units, 'inference'));
      }
      const contenders = shapes.map((shape) => timed('shape', () => shape.forward(batch)));
      const seconds = await interleave(contenders, 3 * rounds);
      return STEP_WIDTHS.map((neurons, i) => {
        const { median, lowest, highest } = spreadOf(ratios(seconds[i] as number[], seconds[0] as number[]));
        const range = `${lowest.toFixed(3)}-${highest.toFixed(3)}`;
        return { model: loaded.name, neurons, 'times as long as the first': median, range };
      });
    } finally {
      for (const shape of shapes) shape.dispose();
    }
  },
};

/** Around 512, a whole number of every register and panel width. */
const STEP_WIDTHS = [480, 488, 496, 497, 504, 512, 513, 520, 528, 529, 536, 544, 545];
const STEP_SEQUENCES = 64;

interface Profiled {
  name: string;
  task: 'mrpc' | 'sst2';
  model: Model;
  profile: LatencyProfile;
  cost: LatencyCost;
}

async function forEachModel(
  context: BenchContext,
  work: (profiled: Profiled, context: BenchContext) => Promise<Row[]>,
): Promise<Row[]> {
  if (!hasShared) {
    context.log('skipped: the data are absent (set ESPALIER_SHARED)');
    return [];
  }
  const models = [
    ['mrpc', () => miniLmModel('mrpc')],
    ['sst2', () => miniLmModel('sst2')],
    ['mrpc', async () => bertBaseModel()],
  ] as const;
  const rows: Row[] = [];
  for (const [task, load] of context.quick ? models.slice(0, 1) : models) {
    const loaded = await load();
    using model = await open(loaded, context.threads);
    const profile = profiles.get(loaded.name) ?? (await profileOf(model, loaded.name, task, context));
    profiles.set(loaded.name, profile);
    const cost = new LatencyCost(profile, model.spec);
    rows.push(...(await work({ name: loaded.name, task, model, profile, cost }, context)));
  }
  return rows;
}

/** Of the models so far: both benchmarks use them. */
const profiles = new Map<string, LatencyProfile>();

async function profileOf(
  model: Model,
  name: string,
  task: 'mrpc' | 'sst2',
  { rounds, log }: BenchContext,
): Promise<LatencyProfile> {
  log(`${name}: profile`);
  const { maxLength } = findTask(task);
  const tokenizer = await loadTokenizer(sharedPath('models', `minilm-${task}`));
  const draw = { maxLength, samples: BATCH, seed: 0 };
  const lengths = drawLengths(await glueExamples(task, 'train'), findTask(task), tokenizer, draw);
  return measureLatencies(model, emptyProfile(model, lengths), { rounds });
}

const open = ({ spec, weights }: BenchModel, threads: number): Promise<Model> =>
  Model.create(Engine.open({ threads }), spec, weights, 'inference');

async function predictShapes({ name, model, profile, cost }: Profiled, { rounds, log }: BenchContext): Promise<Row[]> {
  log(`${name}: ${SHAPES} shapes`);
  const random = new Random(1);
  const { layers } = model.spec;
  const shapes: Model[] = [];
  try {
    while (shapes.length < SHAPES) {
      const units = unitsOf(layers, (layer, sublayer) =>
        random.below((layers[layer]?.[unitKindOf(sublayer)] as number) + 1),
      );
      shapes.push(await model.select(units, 'inference'));
    }
    const batch = randomBatch(model.spec, profile.lengths);
    const contenders = shapes.map((shape) => timed('shape', () => shape.forward(batch)));
    const seconds = await interleave(contenders, rounds);
    const errors = shapes.map(({ spec }, i) => cost.whole(spec.layers) / median(seconds[i] as number[]) - 1);
    const sizes = errors.map(Math.abs);
    return [
      {
        model: name,
        'mean error': mean(sizes),
        'lowest error': Math.min(...errors),
        'highest error': Math.max(...errors),
      },
    ];
  } finally {
    for (const shape of shapes) shape.dispose();
  }
}

async function pruneToLatency(
  { name, task, model, profile, cost }: Profiled,
  { rounds, log }: BenchContext,
): Promise<Row[]> {
  const { layers } = model.spec;
  const { loss, maxLength, averageLength } = findTask(task);
  const tokenizer = await loadTokenizer(sharedPath('models', `minilm-${task}`));
  const examples = await glueExamples(task, 'train');
  const samples = await drawUnlabelled(examples, findTask(task), tokenizer, { maxLength, samples: SAMPLES, seed: 0 });
  const batch = randomBatch(model.spec, profile.lengths);
  const options = { loss, seed: 0, sequenceLength: averageLength as number, keep: 1, costs: cost };
  const curves = await measureCurves(model, samples, options);
  const rows: Row[] = [];
  for (const keep of KEEPS) {
    log(`${name}: keep ${keep}`);
    const { model: pruned, macs } = await pruneOnCurves(model, samples, curves, { ...options, keep });
    using smaller = pruned;
    const seconds = await interleave(
      [timed('pruned', () => smaller.forward(batch)), timed('dense', () => model.forward(batch))],
      rounds,
    );
    const [own, dense] = seconds as [number[], number[]];
    const { median: measured, lowest, highest } = spreadOf(ratios(own, dense));
    const { linear, exact } = searches(
      curves,
      layers,
      cost,
      new LatencyCost(profile, model.spec, piecewiseLinearCurve),
      keep,
    );
    rows.push({
      model: name,
      keep,
      predicted: cost.whole(smaller.spec.layers) / cost.whole(model.spec.layers),
      measured,
      range: `${lowest.toFixed(3)}-${highest.toFixed(3)}`,
      'measured / asked': measured / keep,
      'realised speed-up': 1 / measured,
      MACs: macs.kept,
      'error, piece-wise linear': linear,
      'error, tables at its latency': exact,
    });
  }
  return rows;
}

/**
 * The summed errors of what is shared out on piece-wise linear curves, as Kwon et al. fit them, and of what is shared out on
 * the tables for the latency that those say it has.
 */
function searches(
  curves: readonly ErrorCurve[],
  layers: readonly LayerShape[],
  tables: LatencyCost,
  lines: LatencyCost,
  keep: number,
): Record<'linear' | 'exact', number> {
  const removed = shareOut(curves, keep, lines);
  const left = layersWithout(removed, curves, layers);
  const latency = tables.whole(left) / tables.whole(layers);
  return { linear: errorOf(removed, curves), exact: errorOf(shareOut(curves, latency, tables), curves) };
}
