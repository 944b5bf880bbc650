import type { PackedBatch } from '../native/addon.js';
import type { Model } from '../native/model.js';
import type { Training } from '../native/training.js';
import { calibrateThresholds } from '../tokens/calibrate.js';
import { checkMacs, fitToMacs, savingsOn } from '../tokens/fit-to-macs.js';
import type { ThresholdSettings } from '../tokens/learned-thresholds.js';
import { type Budget, beginMethod, type MethodSettings, type TrainingMethod } from '../tokens/methods.js';
import { defaultRecipe, type Recipe } from '../training/recipe.js';
import type { LoadedModel } from './model.js';
import { type TrainingOptions, TrainingRun, type TrainResult } from './training-run.js';

export interface TrainTokensOptions extends TrainingOptions {
  /** `learned` by default; the others are what it is compared with. */
  method?: TrainingMethod | undefined;
  /**
   * The part of the multiply-accumulates to keep, counted on training sequences. Without it the thresholds end where
   * `lambda` leads them. Other methods need it.
   */
  macs?: number | undefined;
  thresholds?: Partial<ThresholdSettings> | undefined;
  /** What differs from the usual while thresholds are learnt. */
  soft?: Partial<Recipe> | undefined;
  /** What differs from the usual while tokens are dropped. */
  hard?: Partial<Recipe> | undefined;
}

const defaultThresholds: ThresholdSettings = { lambda: 1, temperature: 2e-3, highest: 0.01, learningRate: 5e-4 };

/** What a training's method goes by: what the options leave open is as usual. */
export const methodSettings = ({
  thresholds,
  soft,
  hard,
  seed = 0,
}: Pick<TrainTokensOptions, 'thresholds' | 'soft' | 'hard' | 'seed'>): MethodSettings => ({
  ...defaultThresholds,
  ...thresholds,
  seed,
  soft: { ...defaultRecipe, ...soft },
  hard: { ...defaultRecipe, ...hard },
});

/**
 * Trains a model to do without most tokens (Kim et al. 2021): soft masks while a threshold a layer is learnt, then tokens
 * are dropped by these while the weights adapt. The given model is not changed; the new one drops tokens wherever it runs.
 *
 * @throws EspalierError ERR_OPTION, ERR_TARGET where `macs` cannot be reached, and as train()
 */
export async function trainTokens(model: LoadedModel, options: TrainTokensOptions): Promise<TrainResult> {
  const { method = 'learned', macs } = options;
  if (macs !== undefined) checkMacs(macs);
  using run = await TrainingRun.prepare(model, options);
  const settings = methodSettings(options);
  const { layers } = model.native.spec;
  const budget = macs === undefined ? undefined : budgetOf(run, macs, options);
  const dropping = await beginMethod(method, settings, layers.length, run.training, budget);
  return await run.run('tokens train', dropping.stages, { method, macs, ...settings }, dropping);
}

/** Sequences that are enough to look at how things go. */
const fewSequences = 64;
/** Sequences that thresholds are calibrated on. */
const calibrationSequences = 256;
/** Sequences that say how much work is left when it matters. */
const manySequences = 512;

function budgetOf(run: TrainingRun, macs: number, { signal, onProgress }: TrainTokensOptions): Budget {
  const withSnapshot = async <T>(training: Training, work: (snapshot: Model) => Promise<T>): Promise<T> => {
    using snapshot = await training.snapshot();
    return await work(snapshot);
  };
  const [few, some, many] = [fewSequences, calibrationSequences, manySequences].map((count) => run.sample(count)) as [
    PackedBatch,
    PackedBatch,
    PackedBatch,
  ];
  const { loss } = run.task;
  return {
    macs,
    left: (training, pruning) =>
      withSnapshot(training, async (snapshot) => (await savingsOn(snapshot, few, pruning, signal)).macs),
    fit: (training, { at, hardest }) =>
      withSnapshot(training, (snapshot) => fitToMacs(snapshot, many, at, hardest, { macs, signal })),
    calibrate: (training) =>
      withSnapshot(training, (snapshot) => calibrateThresholds(snapshot, some, { loss, macs, signal, onProgress })),
  };
}
