import type { Example } from '../data/examples.js';
import { sampleIndices } from '../data/sample.js';
import type { DistillationWeights, DType, PackedBatch, TokenPruning } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import type { Model } from '../native/model.js';
import { Training } from '../native/training.js';
import { copyOf } from '../prune/compact.js';
import { deviceMemory } from '../report/device-memory.js';
import type { EpochReport, TrainReport } from '../report/train-report.js';
import { LabelledSequences } from '../tasks/calibration.js';
import { resolveTask, type Task } from '../tasks/task.js';
import { savingsOn } from '../tokens/fit-to-macs.js';
import type { TokenSavings } from '../tokens/token-counts.js';
import { newHead } from '../training/new-head.js';
import { checkRecipe } from '../training/recipe.js';
import { type Progress, SavedTraining } from '../training/saved-training.js';
import { type Position, runStages, type Stage } from '../training/stages.js';
import { highestSeed, stepsPerEpoch, type TrainingStep } from '../training/steps.js';
import { version } from '../version.js';
import { checkTeacher } from './check-teacher.js';
import {
  type DataOptions,
  type Evaluation,
  EvaluationBatches,
  examplesFrom,
  lengthLimit,
  type WorkOptions,
} from './evaluate.js';
import type { LoadedModel } from './model.js';
import { asStored, ModelResult } from './model-result.js';
import { modelIdentity, workSettings } from './work-settings.js';

/** What every training takes. */
export interface TrainingOptions extends DataOptions, WorkOptions {
  /** Labelled file or examples to learn from. */
  train: string | readonly Example[];
  /** Labelled file or examples to evaluate on, before and after every pass over the data. */
  eval?: string | readonly Example[] | undefined;
  /** Of the order of the data, of the dropout and of a new head: a whole number below 2^20; 0 by default. */
  seed?: number | undefined;
  /** Begin with a head that has learnt nothing. */
  newHead?: boolean | undefined;
  /**
   * A model of the same engine, of as many layers, the same hidden size, vocabulary and labels, to learn from beside the
   * labels.
   */
  teacher?: LoadedModel | undefined;
  /** How much is learnt from where; by default labels and logits count the same, at temperature 2. */
  distillation?: Partial<DistillationWeights> | undefined;
  /** A directory to keep the state of the training in: one that was stopped or killed goes on from there. */
  resume?: string | undefined;
  /** Of the weights; by default the source's. */
  dtype?: DType | undefined;
}

/** A model that was trained; training.json keeps the report. */
export type TrainResult = ModelResult<TrainReport>;

/** What drops tokens while a model is trained. */
export interface Dropping {
  pruning: TokenPruning;
  /** What it takes to go on later. */
  state: unknown;
  method: string;
  /** What the user should know. */
  warnings: readonly string[];
}

const defaultDistillation: DistillationWeights = { labels: 1, logits: 1, temperature: 2, hidden: 0 };
const secondsBetweenSaves = 300;
/** Sequences to try the trained model on where there is no evaluation data. */
const sampledSequences = 512;

/** Of an epoch that is not over. */
interface Sums {
  loss: number;
  sequences: number;
  tokens: number;
  seconds: number;
}

const noSums = (): Sums => ({ loss: 0, sequences: 0, tokens: 0, seconds: 0 });

/** What is kept of a training beside its weights. */
interface Notes {
  position: Position;
  seconds: Pick<TrainReport['seconds'], 'train' | 'evaluate' | 'total'>;
  sums: Sums;
  epochs: EpochReport[];
  dropping: unknown;
}

/** A training from its data to its report, whatever its stages are. */
export class TrainingRun {
  #evaluating = 0;

  private constructor(
    private readonly model: LoadedModel,
    readonly options: TrainingOptions,
    readonly task: Task,
    private readonly data: LabelledSequences,
    private readonly settings: object,
    private readonly batches: EvaluationBatches | undefined,
    readonly training: Training,
    private readonly start: number,
  ) {}

  /** @throws EspalierError ERR_OPTION, ERR_TASK, ERR_DATA, ERR_UNSUPPORTED, ERR_OUT_OF_MEMORY, ERR_CANCELLED */
  static async prepare(model: LoadedModel, options: TrainingOptions): Promise<TrainingRun> {
    const start = performance.now();
    const { seed = 0, signal } = options;
    if (!Number.isInteger(seed) || seed < 0 || seed > highestSeed) {
      throw new EspalierError('ERR_OPTION', `seed must be a whole number from 0 to ${highestSeed}, not ${seed}`);
    }
    const task = resolveTask(model.checkpoint, options.task);
    if (options.teacher) checkTeacher(model, options.teacher, task);
    const examples = await examplesFrom(options.train, task, options);
    const maxLength = lengthLimit(model, task, options.maxLength);
    const data = await LabelledSequences.of(examples, task, model.tokenizer, { maxLength, signal });
    const evaluated = options.eval === undefined ? undefined : await examplesFrom(options.eval, task, options);
    const batches = evaluated && (await EvaluationBatches.pack(model, task, evaluated, options));
    // A copy that shares its weights with the model, to which a new head does nothing.
    using copy = await copyOf(model.native, 'inference');
    if (options.newHead) await copy.replace(newHead(copy.spec, seed));
    const settings = await settingsOf(model, task, options, examples);
    return new TrainingRun(model, options, task, data, settings, batches, await Training.start(copy), start);
  }

  [Symbol.dispose](): void {
    this.training.dispose();
  }

  /** So many draws from the training sequences, or all where there are no more, to measure something on. */
  sample(count: number): PackedBatch {
    const all = this.data.count;
    return this.data.take(all <= count ? Array(all).keys() : sampleIndices(all, count, this.options.seed ?? 0)).batch;
  }

  /**
   * @param settings what has to be the same for a training to be resumed, beside the options of every training
   * @throws EspalierError ERR_OUTPUT, ERR_NON_FINITE, ERR_CANCELLED
   */
  async run(
    command: TrainReport['command'],
    stages: readonly Stage[],
    settings: object,
    dropping?: Dropping,
  ): Promise<TrainResult> {
    const { options, task, model, training } = this;
    const { seed = 0, signal, teacher } = options;
    for (const { recipe } of stages) checkRecipe(recipe);
    const saved =
      options.resume === undefined ? undefined : new SavedTraining<Notes>(options.resume, model.native.spec);
    const own = { ...this.settings, ...settings };
    const notes = (await saved?.resume(training, own)) ?? {
      position: { stage: 0, step: 0 },
      seconds: { train: 0, evaluate: 0, total: 0 },
      sums: noSums(),
      epochs: [],
      dropping: dropping?.state,
    };
    if (dropping) dropping.state = notes.dropping;
    const { evaluate, total } = notes.seconds;
    const secondsUntilNow = () => ({
      train: notes.seconds.train,
      evaluate: evaluate + this.#evaluating,
      total: total + (performance.now() - this.start) / 1000,
    });
    const dense = this.batches && (await this.#evaluate(model.native, 'evaluate before', undefined));
    let lastStep = performance.now();
    let lastSave = lastStep;
    const stepsBefore = (stage: number) =>
      stages
        .slice(0, stage)
        .reduce((sum, { recipe }) => sum + recipe.epochs * stepsPerEpoch(this.data.count, recipe), 0);
    await runStages(training, this.data, stages, {
      loss: task.loss,
      seed,
      distillation: teacher && { teacher: teacher.native, ...defaultDistillation, ...options.distillation },
      from: notes.position,
      signal,
      onStep: async (step, stage, position) => {
        const now = performance.now();
        const seconds = (now - lastStep) / 1000;
        notes.seconds.train += seconds;
        addTo(notes.sums, step, seconds);
        this.#report(step, stage, notes.sums, dropping);
        if (step.endsEpoch) {
          notes.epochs.push(await this.#endOfEpoch(step, stage, notes.sums, dropping));
          notes.sums = noSums();
        }
        notes.position = position;
        if (saved && (step.endsEpoch || now - lastSave > 1000 * secondsBetweenSaves)) {
          const progress: Progress<Notes> = {
            settings: own,
            steps: stepsBefore(position.stage) + position.step,
            notes: { ...notes, seconds: secondsUntilNow(), dropping: dropping?.state },
          };
          await saved.save(training, progress);
          lastSave = performance.now();
        }
        lastStep = performance.now();
      },
    });
    const recipes = Object.fromEntries(stages.map(({ name, recipe }) => [name, recipe]));
    const made = { command, settings: own, recipes, epochs: notes.epochs };
    return this.#result(made, dense, secondsUntilNow, dropping);
  }

  #report(
    { step, steps, epoch, tokens, result }: TrainingStep,
    { name, recipe }: Stage,
    { loss, sequences }: Sums,
    dropping: Dropping | undefined,
  ): void {
    const total = steps / recipe.epochs;
    const notes = [`loss ${(loss / sequences).toFixed(4)}`];
    if (dropping) {
      const kept = Array.from(result.tokens, (count) => Math.round((100 * count) / tokens));
      notes.push(`tokens kept ${kept.join(' ')} %`);
      if (dropping.pruning.rule === 'threshold') {
        notes.push(`thresholds ${dropping.pruning.values.map((value) => value.toFixed(4)).join(' ')}`);
      }
      notes.push(...dropping.warnings.slice(-1));
    }
    const stage = `${name} ${epoch + 1}/${recipe.epochs}`;
    this.options.onProgress?.({ stage, done: step - epoch * total, total, note: notes.join(', ') });
  }

  async #endOfEpoch(
    { epoch }: TrainingStep,
    { name }: Stage,
    { loss, sequences, tokens, seconds }: Sums,
    dropping: Dropping | undefined,
  ): Promise<EpochReport> {
    const report: EpochReport = {
      stage: name,
      epoch: epoch + 1,
      loss: loss / sequences,
      tokensPerSecond: tokens / seconds,
    };
    if (dropping?.pruning.rule === 'threshold') report.thresholds = [...dropping.pruning.values];
    if (!this.batches) return report;
    using snapshot = await this.training.snapshot();
    const evaluation = await this.#evaluate(snapshot, `evaluate ${name} ${epoch + 1}`, dropping?.pruning);
    const { metrics, dropping: savings } = evaluation as Evaluation;
    return { ...report, metrics, ...(savings && { dropping: savings }) };
  }

  async #evaluate(model: Model, stage: string, pruning: TokenPruning | undefined): Promise<Evaluation | undefined> {
    const { signal, onProgress } = this.options;
    const evaluated = (await this.batches?.evaluate(model, stage, { pruning, signal, onProgress }))?.evaluation;
    this.#evaluating += evaluated?.seconds ?? 0;
    return evaluated;
  }

  async #result(
    { command, settings, recipes, epochs }: Pick<TrainReport, 'command' | 'settings' | 'recipes' | 'epochs'>,
    dense: Evaluation | undefined,
    secondsUntilNow: () => Notes['seconds'],
    dropping: Dropping | undefined,
  ): Promise<TrainResult> {
    const { model, task, options } = this;
    const snapshot = await this.training.snapshot();
    const tokenPruning = dropping?.pruning ?? snapshot.spec.tokenPruning;
    const trained = await asStored(model, snapshot, task, { dtype: options.dtype, tokenPruning });
    const evaluated = await this.#evaluate(trained.native, 'evaluate after', undefined);
    const savings = evaluated ? evaluated.dropping : await this.#savings(trained.native, tokenPruning);
    const { train, evaluate, total } = secondsUntilNow();
    const report: TrainReport = {
      command,
      version,
      task: task.name,
      seed: options.seed ?? 0,
      settings,
      device: model.device,
      threads: model.threads,
      precision: model.precision,
      ...(dropping && { method: dropping.method }),
      recipes,
      epochs,
      ...(dense && evaluated && { dense: dense.metrics, trained: evaluated.metrics }),
      ...(tokenPruning && { tokenPruning }),
      ...(savings && { dropping: savings }),
      ...(dropping && dropping.warnings.length > 0 && { warnings: [...dropping.warnings] }),
      seconds: { load: model.loadSeconds, train, evaluate, write: 0, total: model.loadSeconds + total },
      ...deviceMemory(model.native.engine),
    };
    return new ModelResult(trained, report, 'training.json');
  }

  /** What dropping tokens saves on some of the training data. Throws ERR_NON_FINITE where the last step led astray. */
  async #savings(model: Model, tokenPruning: TokenPruning | undefined): Promise<TokenSavings | undefined> {
    const { signal } = this.options;
    const sample = this.sample(sampledSequences);
    if (tokenPruning) return await savingsOn(model, sample, tokenPruning, signal);
    await model.forward(sample, { signal });
    return undefined;
  }
}

/** All that decides about the result of any training: what has to be the same for it to go on with its state. */
async function settingsOf(
  model: LoadedModel,
  task: Task,
  options: TrainingOptions,
  examples: readonly Example[],
): Promise<object> {
  const { seed = 0, newHead, teacher, distillation, signal } = options;
  return {
    ...(await workSettings(model, task, options, examples)),
    seed,
    newHead,
    teacher: teacher && { ...(await modelIdentity(teacher, signal)), ...defaultDistillation, ...distillation },
  };
}

function addTo(sums: Sums, { result, sequences, tokens }: TrainingStep, seconds: number): void {
  sums.loss += result.losses.reduce((sum, loss) => sum + loss, 0);
  sums.sequences += sequences;
  sums.tokens += tokens;
  sums.seconds += seconds;
}
