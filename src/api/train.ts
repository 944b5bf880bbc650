import { defaultRecipe, type Recipe } from '../training/recipe.js';
import type { LoadedModel } from './model.js';
import { type TrainingOptions, TrainingRun, type TrainResult } from './training-run.js';

export interface TrainOptions extends TrainingOptions {
  /** What differs from the usual: 3 epochs, batches of 32, a learning rate of 5e-5. */
  recipe?: Partial<Recipe> | undefined;
}

/**
 * Fine-tunes a model on labelled examples, in fp32; pruned units stay pruned, and a model that drops tokens learns while
 * it drops them. The given model is not changed.
 *
 * @throws EspalierError ERR_OPTION, ERR_TASK, ERR_DATA, ERR_OUTPUT, ERR_UNSUPPORTED, ERR_NON_FINITE, ERR_OUT_OF_MEMORY,
 * ERR_CANCELLED
 */
export async function train(model: LoadedModel, { recipe: changes, ...options }: TrainOptions): Promise<TrainResult> {
  using run = await TrainingRun.prepare(model, options);
  const recipe = { ...defaultRecipe, ...changes };
  const { tokenPruning } = model.native.spec;
  const pass = tokenPruning && (() => ({ pruning: tokenPruning }));
  return await run.run('train', [{ name: 'train', recipe, pass }], { recipe });
}
