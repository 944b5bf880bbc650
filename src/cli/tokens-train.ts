import type { Command } from 'commander';
import { trainTokens } from '../index.js';
import { type TrainingMethod, trainingMethods } from '../tokens/methods.js';
import { choiceOption, integerOption, ratioOption } from './options.js';
import { helpExamples } from './output.js';
import {
  addTrainingOptions,
  defined,
  notNegativeOption,
  positiveOption,
  recipeOf,
  runTraining,
  type TrainingFlags,
} from './training-options.js';

interface TokensTrainFlags extends TrainingFlags {
  method: TrainingMethod;
  macs?: number;
  lambda?: number;
  temperature?: number;
  thresholdLearningRate?: number;
  softEpochs?: number;
  hardEpochs?: number;
  softLearningRate?: number;
  hardLearningRate?: number;
}

export function addTokensTrain(tokens: Command, signal: AbortSignal): void {
  const command = tokens
    .command('train')
    .description('learn a threshold a layer, below which tokens are dropped, and adapt the weights to it')
    .argument('<checkpoint>', 'model directory')
    .addOption(choiceOption('--method <name>', 'how tokens are chosen', trainingMethods).default('learned'))
    .addOption(
      ratioOption('--macs <ratio>', 'part of the multiply-accumulates to keep (default: what --lambda leads to)'),
    )
    .addOption(notNegativeOption('--lambda <x>', 'the larger, the fewer tokens go on (default: 0.1)'))
    .addOption(positiveOption('--temperature <x>', 'of the soft masks (default: 2e-3)'))
    .addOption(positiveOption('--threshold-learning-rate <x>', 'of the thresholds (default: 5e-4)'))
    .addOption(integerOption('--soft-epochs <n>', 'passes over the data with soft masks (default: 3)', 1))
    .addOption(integerOption('--hard-epochs <n>', 'passes over the data while tokens are dropped (default: 3)', 1))
    .addOption(positiveOption('--soft-learning-rate <x>', 'the highest with soft masks (default: 2e-5)'))
    .addOption(positiveOption('--hard-learning-rate <x>', 'the highest while tokens are dropped (default: 2e-5)'))
    .addHelpText(
      'after',
      helpExamples(
        'tokens train my-model --task mrpc --train train.tsv --eval dev.tsv --macs 0.5 --teacher my-model --output fewer-tokens',
        'tokens train models/sentiment-mini --task sst2 --train demo/train.tsv --lambda 0.2 --soft-epochs 1 --output short',
      ),
    );
  addTrainingOptions(command).action((directory: string, flags: TokensTrainFlags) =>
    runTraining(directory, flags, signal, (model, options) => {
      const { method, macs, lambda, temperature, thresholdLearningRate: learningRate } = flags;
      const stage = (epochs: number | undefined, rate: number | undefined) => ({
        ...recipeOf(flags),
        ...defined({ epochs, learningRate: rate }),
      });
      return trainTokens(model, {
        ...options,
        method,
        macs,
        thresholds: defined({ lambda, temperature, learningRate }),
        soft: stage(flags.softEpochs, flags.softLearningRate),
        hard: stage(flags.hardEpochs, flags.hardLearningRate),
      });
    }),
  );
}
