import {
  calibrateTokens,
  type LoadedModel,
  type TrainResult,
  type TrainTokensOptions,
  trainTokens,
} from '../../src/index.js';
import type { SweepMethod } from '../../src/tokens/methods.js';

/** A pass over the data for each stage; the model's own ancestor, or itself, is the teacher of those that learn. */
export function dropTokensBy(
  method: SweepMethod,
  model: LoadedModel,
  { teacher = model, ...options }: Pick<TrainTokensOptions, 'task' | 'train' | 'teacher'> & { macs: number },
): Promise<TrainResult> {
  if (method === 'calibrated') return calibrateTokens(model, options);
  const recipe = { epochs: 1 };
  return trainTokens(model, { ...options, teacher, method, soft: recipe, hard: recipe });
}
