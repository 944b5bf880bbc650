import type { Example } from '../data/examples.js';
import { LatencyCost } from '../latency/latency-cost.js';
import { type LatencyProfile, readProfile } from '../latency/latency-profile.js';
import { piecewiseLinearCurve } from '../latency/piecewise-linear.js';
import type { DType } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import type { OnProgress } from '../progress.js';
import type { Preset, PruneTo, Samples } from '../prune/preset.js';
import { studyModel } from '../prune/prune.js';
import { deviceMemory } from '../report/device-memory.js';
import { parameterCount } from '../report/model-report.js';
import type { Constraint, Metrics, PruneReport } from '../report/prune-report.js';
import { drawCalibration, drawUnlabelled } from '../tasks/calibration.js';
import { resolveTask, type Task } from '../tasks/task.js';
import { version } from '../version.js';
import {
  type DataOptions,
  type Evaluation,
  EvaluationBatches,
  examplesFrom,
  lengthLimit,
  readingOf,
  type WorkOptions,
} from './evaluate.js';
import { measureLatency } from './measure-latency.js';
import type { LoadedModel } from './model.js';
import { asStored, ModelResult } from './model-result.js';
import { profile } from './profile.js';

export const constraints = ['macs', 'latency'] as const satisfies Constraint[];
/** Of a profile that is measured for one run. */
const roundsOnTheSpot = 3;

export interface StudyOptions extends DataOptions, WorkOptions {
  /** File or examples to calibrate on: some of what the model was trained on. The preset kwon needs labels. */
  train: string | readonly Example[];
  /** Labelled file or examples to compare the dense and the pruned model on. */
  eval?: string | readonly Example[] | undefined;
  /** What a budget is a part of; `macs` by default. */
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
  /** Measure the latency of both models in turns, for 256 of the texts. */
  latency?: boolean | undefined;
}

/** A pruned model; pruning.json keeps the report. */
export type PruneResult = ModelResult<PruneReport>;

/** A model with what a preset measured of it, ready to be pruned to any number of budgets. */
export class PruneStudy {
  private constructor(
    private readonly model: LoadedModel,
    private readonly task: Task,
    private readonly options: StudyOptions,
    private readonly train: readonly Example[],
    private readonly batches: EvaluationBatches | undefined,
    private readonly dense: Evaluation | undefined,
    private readonly latency: LatencyCost | undefined,
    private readonly pruneTo: PruneTo,
    private readonly seconds: number,
  ) {}

  /** @throws EspalierError ERR_OPTION, ERR_TARGET, ERR_TASK, ERR_DATA, ERR_NON_FINITE, ERR_OUT_OF_MEMORY, ERR_CANCELLED */
  static async prepare(model: LoadedModel, options: StudyOptions): Promise<PruneStudy> {
    const start = performance.now();
    const { preset = 'espalier', seed = 0, signal, onProgress } = options;
    checkOptions(options);
    const { spec } = model.checkpoint;
    const task = resolveTask(model.checkpoint, options.task);
    const batches = await evaluationBatches(model, task, options);
    // Once for all that needs texts: standard input can be read no more often. Only kwon needs the labels.
    const train = await examplesFrom(options.train, task, { ...options, labels: preset === 'kwon' });
    const measured = await latencyProfile(model, train, options);
    const latency = measured && new LatencyCost(measured, spec);
    const samples = await samplesFor(preset, model, task, train, options);
    const dense = (await batches?.evaluate(model.native, 'evaluate dense', options))?.evaluation;
    const pruneTo = await studyModel(model.native, samples, {
      preset,
      // The preset kwon follows its paper in how it reads latencies.
      costs: measured && preset === 'kwon' ? new LatencyCost(measured, spec, piecewiseLinearCurve) : latency,
      loss: task.loss,
      batchSize: options.batch ?? task.miniBatch,
      seed,
      sequenceLength: task.averageLength ?? samples.batch.ids.length / (samples.batch.offsets.length - 1),
      signal,
      onProgress,
    });
    const seconds = model.loadSeconds + (performance.now() - start) / 1000;
    return new PruneStudy(model, task, options, train, batches, dense, latency, pruneTo, seconds);
  }

  /** What the budgets share counts in the seconds of each report. */
  async prune(keep: number, onProgress: OnProgress | undefined = this.options.onProgress): Promise<PruneResult> {
    const start = performance.now();
    const { model, options, batches, latency, dense } = this;
    const { preset = 'espalier', seed = 0, signal } = options;
    const work = { signal, onProgress };
    const stages: Record<string, Evaluation> = {};
    const outcome = await this.pruneTo(keep, {
      ...work,
      ...(options.stages && {
        onStage: async (stage, native) => {
          const evaluated = await batches?.evaluate(native, `evaluate ${stage}`, work);
          if (evaluated) stages[stage] = evaluated.evaluation;
        },
      }),
    });
    const smaller = await asStored(model, outcome.model, this.task, options);
    const { pruned, measured } = await this.#judge(smaller, work).catch(async (error) => {
      await smaller.dispose();
      throw error;
    });
    const { spec, bytes } = smaller.checkpoint;
    const evaluations = [dense, ...Object.values(stages), pruned];
    const report: PruneReport = {
      command: 'prune',
      version,
      task: this.task.name,
      preset,
      seed,
      device: model.device,
      threads: model.threads,
      precision: model.precision,
      constraint: { kind: latency ? 'latency' : 'macs', keep },
      achieved: {
        macs: outcome.macs.kept,
        ...(latency && { latency: latency.whole(spec.layers) / latency.whole(model.checkpoint.spec.layers) }),
        parameters: parameterCount(spec) / parameterCount(model.checkpoint.spec),
        bytes,
      },
      layers: spec.layers,
      ...(dense && pruned && { dense: dense.metrics, pruned: pruned.metrics }),
      ...(options.stages && { stages: metricsOf(stages) }),
      ...(measured && { latency: measured }),
      ...(outcome.warnings.length > 0 && { warnings: outcome.warnings }),
      seconds: {
        load: model.loadSeconds,
        ...outcome.seconds,
        write: 0,
        evaluate: evaluations.reduce((sum, evaluation) => sum + (evaluation?.seconds ?? 0), 0),
        total: this.seconds + (performance.now() - start) / 1000,
      },
      ...deviceMemory(model.native.engine),
    };
    return new ModelResult(smaller, report, 'pruning.json');
  }

  async #judge(smaller: LoadedModel, work: WorkOptions) {
    const { model, options, batches, train } = this;
    const pruned = (await batches?.evaluate(smaller.native, 'evaluate pruned', work))?.evaluation;
    const measured = options.latency ? await measureLatency(smaller, model, train, options) : undefined;
    return { pruned, measured };
  }
}

const metricsOf = (evaluations: Record<string, Evaluation>): Record<string, Metrics> =>
  Object.fromEntries(Object.entries(evaluations).map(([stage, { metrics }]) => [stage, metrics]));

function checkOptions(options: StudyOptions): void {
  const { preset = 'espalier', constraint = 'macs' } = options;
  if (options.stages && options.eval === undefined) {
    throw new EspalierError('ERR_OPTION', '--stages has nothing to evaluate on (give --eval too)');
  }
  if (options.batch !== undefined && preset !== 'kwon') {
    throw new EspalierError('ERR_OPTION', `the preset ${preset} has no mini-batches (leave --batch out, or use kwon)`);
  }
  if (!constraints.includes(constraint)) {
    throw new EspalierError('ERR_OPTION', `the constraint must be ${constraints.join(' or ')}, not ${constraint}`);
  }
  if (constraint === 'macs' && options.profile !== undefined) {
    throw new EspalierError('ERR_OPTION', 'a latency profile is of no use for macs (give --constraint latency too)');
  }
}

/** What all models of a run are compared on, where there is such data. */
async function evaluationBatches(
  model: LoadedModel,
  task: Task,
  options: StudyOptions,
): Promise<EvaluationBatches | undefined> {
  if (options.eval === undefined) return undefined;
  const examples = await examplesFrom(options.eval, task, options);
  // The mini-batch is the method's; evaluation has its own.
  return EvaluationBatches.pack(model, task, examples, { ...options, batch: undefined });
}

/** What the model's sub-layers take, where latency is the constraint. */
async function latencyProfile(
  model: LoadedModel,
  train: readonly Example[],
  options: StudyOptions,
): Promise<LatencyProfile | undefined> {
  const { constraint, profile: measured, task, signal, onProgress } = options;
  if (constraint !== 'latency') return undefined;
  if (typeof measured === 'string') return readProfile(measured);
  // Its batch is not the gradients', and of a sweep's options, `output` is not its file.
  const work = { ...readingOf(options), task, signal, onProgress };
  return measured ?? profile(model, { ...work, texts: train, rounds: roundsOnTheSpot });
}

/** What the preset is calibrated on. */
async function samplesFor(
  preset: Preset,
  model: LoadedModel,
  task: Task,
  train: readonly Example[],
  options: StudyOptions,
): Promise<Samples> {
  const { samples = 2048, seed = 0, signal } = options;
  const maxLength = lengthLimit(model, task, options.maxLength);
  const draw = { maxLength, samples, seed, signal };
  return preset === 'kwon'
    ? drawCalibration(train, task, model.tokenizer, draw)
    : { batch: await drawUnlabelled(train, task, model.tokenizer, draw) };
}
