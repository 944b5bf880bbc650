import type { Budget } from '../tokens/budget.js';
import { checkMacs, checkReachable, fitToMacs } from '../tokens/fit-to-macs.js';
import type { ThresholdSettings } from '../tokens/learned-thresholds.js';
import { beginMethod, type MethodOptions, type TrainingMethod } from '../tokens/methods.js';
import { meanLength } from '../tokens/thresholds.js';
import { macsOfMeanSequence } from '../tokens/token-counts.js';
import { defaultRecipe, type Recipe } from '../training/recipe.js';
import type { LoadedModel } from './model.js';
import { type TrainingOptions, TrainingRun, type TrainResult } from './training-run.js';

export interface TrainTokensOptions extends TrainingOptions {
  /** `learned` by default; the others are what it is compared with. */
  method?: TrainingMethod | undefined;
  /**
   * The part of the multiply-accumulates to keep, counted on training sequences. Without it `lambda` decides how high
   * learnt thresholds rise. Other methods need it.
   */
  macs?: number | undefined;
  thresholds?: Partial<ThresholdSettings> | undefined;
  /** What differs from the usual while thresholds are learnt. */
  soft?: Partial<Recipe> | undefined;
  /** What differs from the usual while tokens are dropped. */
  hard?: Partial<Recipe> | undefined;
}

/** Training sequences that a budget is fitted on, and whose mean length is the usual `paddedLength`. */
const fittedSequences = 512;

const defaultThresholds = { lambda: 1, temperature: 2e-3, highest: 0.01, learningRate: 5e-4 };

/** What a training's method goes by: what the options leave open is as usual, but for `paddedLength`, which the data say. */
export const methodSettings = ({
  thresholds,
  soft,
  hard,
  seed = 0,
}: Pick<TrainTokensOptions, 'thresholds' | 'soft' | 'hard' | 'seed'>): MethodOptions => ({
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
  const sample = run.sample(fittedSequences);
  const { paddedLength = meanLength(sample), ...others } = methodSettings(options);
  const settings = { ...others, paddedLength };
  const { spec } = model.native;
  const budget: Budget | undefined =
    macs === undefined
      ? undefined
      : {
          macs,
          leftBy: ({ tokens, result, sequences }) => macsOfMeanSequence(spec, [tokens, ...result.tokens], sequences),
          async check(training, hardest) {
            using snapshot = await training.snapshot();
            await checkReachable(snapshot, sample, hardest, { macs, signal: options.signal });
          },
          async fit(training, { at, hardest }) {
            using snapshot = await training.snapshot();
            return await fitToMacs(snapshot, sample, at, hardest, { macs, signal: options.signal });
          },
        };
  const dropping = await beginMethod(method, settings, spec.layers.length, run.training, budget);
  return await run.run('tokens train', dropping.stages, { method, macs, ...settings }, dropping);
}
