import type { Command } from 'commander';
import type { TrainTokensOptions } from '../index.js';
import { integerOption } from './options.js';
import {
  addTrainingOptions,
  defined,
  notNegativeOption,
  positiveOption,
  recipeOf,
  type TrainingFlags,
} from './training-options.js';

/** What decides how a model is trained to drop tokens, whatever the method and the budget. */
export interface DroppingFlags extends TrainingFlags {
  lambda?: number;
  temperature?: number;
  thresholdLearningRate?: number;
  paddedLength?: number;
  softEpochs?: number;
  hardEpochs?: number;
  softLearningRate?: number;
  hardLearningRate?: number;
}

/** @param usual what it is by default */
export const paddedLengthOption = (usual: string) =>
  integerOption('--padded-length <n>', `what importance is a mean over; 0: a text's own length (default: ${usual})`, 0);

export function addDroppingOptions(command: Command): Command {
  command
    .addOption(notNegativeOption('--lambda <x>', 'the larger, the fewer tokens go on (default: 1)'))
    .addOption(positiveOption('--temperature <x>', 'of the soft masks (default: 2e-3)'))
    .addOption(positiveOption('--threshold-learning-rate <x>', 'of the thresholds (default: 5e-4)'))
    .addOption(paddedLengthOption('the mean length of the training data'))
    .addOption(integerOption('--soft-epochs <n>', 'passes over the data with soft masks (default: 3)', 1))
    .addOption(integerOption('--hard-epochs <n>', 'passes over the data while tokens are dropped (default: 3)', 1))
    .addOption(positiveOption('--soft-learning-rate <x>', 'the highest with soft masks (default: 5e-5)'))
    .addOption(positiveOption('--hard-learning-rate <x>', 'the highest while tokens are dropped (default: 5e-5)'));
  return addTrainingOptions(command);
}

export function droppingOptionsOf(flags: DroppingFlags): Pick<TrainTokensOptions, 'thresholds' | 'soft' | 'hard'> {
  const { lambda, temperature, thresholdLearningRate: learningRate, paddedLength } = flags;
  const stage = (epochs: number | undefined, rate: number | undefined) => ({
    ...recipeOf(flags),
    ...defined({ epochs, learningRate: rate }),
  });
  return {
    thresholds: defined({ lambda, temperature, learningRate, paddedLength }),
    soft: stage(flags.softEpochs, flags.softLearningRate),
    hard: stage(flags.hardEpochs, flags.hardLearningRate),
  };
}
