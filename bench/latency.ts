import { Random } from '../src/data/random.js';
import { LatencyCost } from '../src/latency/latency-cost.js';
import type { LatencyProfile } from '../src/latency/latency-profile.js';
import { emptyProfile, measureLatencies, randomBatch, unitsOf } from '../src/latency/measure.js';
import { median } from '../src/latency/median.js';
import { interleave, ratios, spreadOf, timed } from '../src/latency/rounds.js';
import { Engine } from '../src/native/engine.js';
import { Model } from '../src/native/model.js';
import { measureCurves, pruneOnCurves } from '../src/prune/espalier.js';
import { unitKindOf } from '../src/prune/units.js';
import { drawLengths, drawUnlabelled } from '../src/tasks/calibration.js';
import { findTask } from '../src/tasks/task.js';
import { loadTokenizer } from '../src/tokenizer/tokenizer.js';
import { hasShared, sharedPath } from '../test/support/paths.js';
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
        'mean error': sizes.reduce((sum, size) => sum + size, 0) / sizes.length,
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
    rows.push({
      model: name,
      keep,
      predicted: cost.whole(smaller.spec.layers) / cost.whole(model.spec.layers),
      measured,
      range: `${lowest.toFixed(3)}-${highest.toFixed(3)}`,
      'measured / asked': measured / keep,
      'realised speed-up': 1 / measured,
      MACs: macs.kept,
    });
  }
  return rows;
}
