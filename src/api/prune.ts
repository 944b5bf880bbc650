import { writeCheckpoint } from '../checkpoint/checkpoint.js';
import type { Example } from '../data/examples.js';
import { LatencyCost } from '../latency/latency-cost.js';
import { type LatencyProfile, readProfile } from '../latency/latency-profile.js';
import { piecewiseLinearCurve } from '../latency/piecewise-linear.js';
import type { DType } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import { Model } from '../native/model.js';
import type { Preset, PruneOutcome, Samples } from '../prune/preset.js';
import { pruneModel } from '../prune/prune.js';
import { parameterCount } from '../report/model-report.js';
import type { Constraint, Metrics, PruneReport } from '../report/prune-report.js';
import { drawCalibration, drawUnlabelled } from '../tasks/calibration.js';
import { resolveTask, type Task } from '../tasks/task.js';
import { version } from '../version.js';
import { type DataOptions, EvaluationBatches, examplesFrom, lengthLimit, type WorkOptions } from './evaluate.js';
import { LoadedModel } from './model.js';
import { profile } from './profile.js';
import { storedWeights } from './stored-weights.js';

export const constraints = ['macs', 'latency'] as const satisfies Constraint[];
/** Of a profile that is measured for one run. */
const roundsOnTheSpot = 3;

export interface PruneOptions extends DataOptions, WorkOptions {
  /** File or examples to calibrate on: some of what the model was trained on. The preset kwon needs labels. */
  train: string | readonly Example[];
  /** Labelled file or examples to compare the dense and the pruned model on. */
  eval?: string | readonly Example[] | undefined;
  /** The part of the layers' multiply-accumulates, or of the whole latency, to keep, above 0 and at most 1. */
  keep: number;
  /** What `keep` is a part of; `macs` by default. */
  constraint?: Constraint | undefined;
  /** For the constraint `latency`: a profile or its file; by default one is measured, of 256 of the texts. */
  profile?: string | LatencyProfile | undefined;
  /** `espalier` by default. */
  preset?: Preset | undefined;
  /** Calibration samples; 2,048 by default. */
  samples?: number | undefined;
  /** Samples of a mini-batch of gradients, for the preset kwon only; by default the task's, 32 or SQuAD's 12. */
  batch?: number | undefined;
  /** Of the draw; 0 by default. */
  seed?: number | undefined;
  /** Evaluate after every step of the method too; needs `eval`. */
  stages?: boolean | undefined;
  /** Of the smaller weights; by default the source's. */
  dtype?: DType | undefined;
}

export interface SaveOptions {
  /** Replace an existing checkpoint. */
  force?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** A pruned model, ready to use and to be saved. */
export class PruneResult {
  constructor(
    /** The smaller model, with its weights rounded to the dtype they are saved in. */
    readonly model: LoadedModel,
    readonly report: PruneReport,
  ) {}

  /**
   * Writes the checkpoint with pruning.json, the report; the directory appears whole or not at all. Returns the report
   * with what is known once it is written.
   *
   * @throws EspalierError ERR_OUTPUT, ERR_CANCELLED
   */
  async save(directory: string, options: SaveOptions = {}): Promise<PruneReport> {
    const start = performance.now();
    const report = { ...this.report, output: directory };
    const files = { 'pruning.json': `${JSON.stringify(report, null, 2)}\n` };
    const { checkpoint, native } = this.model;
    const weights = await storedWeights(native, checkpoint.dtype);
    await writeCheckpoint({ ...checkpoint, weights }, directory, { ...options, files });
    const write = (performance.now() - start) / 1000;
    return { ...report, seconds: { ...report.seconds, write, total: report.seconds.total + write } };
  }

  /** Frees the smaller model. */
  dispose(): Promise<void> {
    return this.model.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/**
 * Removes the heads and neurons that matter least to the task until `keep` of the multiply-accumulates are left, without
 * training: by this package's own method, or by Kwon et al. 2022 (arXiv 2204.09656). The given model is not changed.
 *
 * @throws EspalierError ERR_OPTION, ERR_TASK, ERR_DATA, ERR_NON_FINITE, ERR_OUT_OF_MEMORY, ERR_CANCELLED
 */
export async function prune(model: LoadedModel, options: PruneOptions): Promise<PruneResult> {
  const start = performance.now();
  const { keep, preset = 'espalier', seed = 0, signal, onProgress } = options;
  if (options.stages && options.eval === undefined) {
    throw new EspalierError('ERR_OPTION', '--stages has nothing to evaluate on (give --eval too)');
  }
  if (options.batch !== undefined && preset !== 'kwon') {
    throw new EspalierError('ERR_OPTION', `the preset ${preset} has no mini-batches (leave --batch out, or use kwon)`);
  }
  checkConstraint(options);
  const task = resolveTask(model.checkpoint, options.task);
  const comparison = await Comparison.prepare(model, task, options);
  // Once for profile and calibration: standard input can be read no more often. Only kwon needs the labels.
  const train = await examplesFrom(options.train, task, { ...options, labels: preset === 'kwon' });
  const measured = await latencyProfile(model, train, options);
  const latency = measured && new LatencyCost(measured, model.checkpoint.spec);
  const calibration = await samplesFor(preset, model, task, train, options);
  const dense = await comparison?.metricsOf(model.native, 'evaluate dense');
  const stages: Record<string, Metrics> = {};
  const outcome = await pruneModel(model.native, calibration, {
    preset,
    keep,
    // The preset kwon follows its paper in how it reads latencies.
    costs:
      measured && preset === 'kwon' ? new LatencyCost(measured, model.checkpoint.spec, piecewiseLinearCurve) : latency,
    loss: task.loss,
    batchSize: options.batch ?? task.miniBatch,
    seed,
    sequenceLength: task.averageLength ?? calibration.batch.ids.length / (calibration.batch.offsets.length - 1),
    signal,
    onProgress,
    onStage: async (stage, native) => {
      if (options.stages) stages[stage] = (await comparison?.metricsOf(native, `evaluate ${stage}`)) ?? {};
    },
  });
  const smaller = await smallerModel(model, outcome, task, options.dtype ?? model.checkpoint.dtype);
  const pruned = await comparison?.metricsOf(smaller.native, 'evaluate pruned');
  const { spec, bytes } = smaller.checkpoint;
  const report: PruneReport = {
    command: 'prune',
    version,
    task: task.name,
    preset,
    seed,
    device: model.device,
    threads: model.threads,
    constraint: { kind: latency ? 'latency' : 'macs', keep },
    achieved: {
      macs: outcome.macs.kept,
      ...(latency && { latency: latency.whole(spec.layers) / latency.whole(model.checkpoint.spec.layers) }),
      parameters: parameterCount(spec) / parameterCount(model.checkpoint.spec),
      bytes,
    },
    layers: spec.layers,
    ...(dense && pruned && { dense, pruned }),
    ...(options.stages && { stages }),
    ...(outcome.warnings.length > 0 && { warnings: outcome.warnings }),
    seconds: {
      load: model.loadSeconds,
      ...outcome.seconds,
      write: 0,
      evaluate: comparison?.seconds ?? 0,
      total: model.loadSeconds + (performance.now() - start) / 1000,
    },
  };
  return new PruneResult(smaller, report);
}

function checkConstraint({ constraint = 'macs', profile: measured }: PruneOptions): void {
  if (!constraints.includes(constraint)) {
    throw new EspalierError('ERR_OPTION', `the constraint must be ${constraints.join(' or ')}, not ${constraint}`);
  }
  if (constraint === 'macs' && measured !== undefined) {
    throw new EspalierError('ERR_OPTION', 'a latency profile is of no use for macs (give --constraint latency too)');
  }
}

/** What the model's sub-layers take, where latency is the constraint. */
async function latencyProfile(
  model: LoadedModel,
  train: readonly Example[],
  options: PruneOptions,
): Promise<LatencyProfile | undefined> {
  const { constraint, profile: measured } = options;
  if (constraint !== 'latency') return undefined;
  if (typeof measured === 'string') return readProfile(measured);
  const { batch: _, ...data } = options;
  return measured ?? profile(model, { ...data, texts: train, rounds: roundsOnTheSpot });
}

/** What the preset is calibrated on. */
async function samplesFor(
  preset: Preset,
  model: LoadedModel,
  task: Task,
  train: readonly Example[],
  options: PruneOptions,
): Promise<Samples> {
  const { samples = 2048, seed = 0, signal } = options;
  const maxLength = lengthLimit(model, task, options.maxLength);
  const draw = { maxLength, samples, seed, signal };
  return preset === 'kwon'
    ? drawCalibration(train, task, model.tokenizer, draw)
    : { batch: await drawUnlabelled(train, task, model.tokenizer, draw) };
}

/** Evaluates the models of one run on the same examples. */
class Comparison {
  seconds = 0;

  private constructor(
    private readonly batches: EvaluationBatches,
    private readonly options: WorkOptions,
  ) {}

  static async prepare(model: LoadedModel, task: Task, options: PruneOptions): Promise<Comparison | undefined> {
    if (options.eval === undefined) return undefined;
    const examples = await examplesFrom(options.eval, task, options);
    // The mini-batch is the method's; evaluation has its own.
    const batches = await EvaluationBatches.pack(model, task, examples, { ...options, batch: undefined });
    return new Comparison(batches, options);
  }

  async metricsOf(native: Model, stage: string): Promise<Metrics> {
    const { evaluation } = await this.batches.evaluate(native, stage, this.options);
    this.seconds += evaluation.seconds;
    return evaluation.metrics;
  }
}

/** The outcome, loaded again from the weights as they will be stored. */
async function smallerModel(
  model: LoadedModel,
  { model: student }: PruneOutcome,
  task: Task,
  dtype: DType,
): Promise<LoadedModel> {
  using tuned = student;
  const { spec } = tuned;
  const weights = await storedWeights(tuned, dtype);
  const native = await Model.create(model.native.engine, spec, weights, 'inference');
  const { config } = model.checkpoint;
  const checkpoint = {
    ...model.checkpoint,
    // So that the smaller checkpoint needs no --task.
    config: { ...config, espalier: { ...(config.espalier as object | undefined), task: task.name } },
    spec,
    dtype,
    bytes: [...weights.values()].reduce((sum, { data }) => sum + data.byteLength, 0),
  };
  return new LoadedModel(checkpoint, model.tokenizer, native, 0);
}
