import type { Command } from 'commander';
import { train } from '../index.js';
import { integerOption } from './options.js';
import { helpExamples } from './output.js';
import {
  addTrainedOutputOptions,
  addTrainingOptions,
  defined,
  positiveOption,
  recipeOf,
  runTraining,
  type TrainingFlags,
} from './training-options.js';

interface TrainFlags extends TrainingFlags {
  epochs?: number;
  learningRate?: number;
}

export function addTrain(program: Command, signal: AbortSignal): void {
  const command = program
    .command('train')
    .description('fine-tune a checkpoint, dense or pruned, on labelled data')
    .argument('<checkpoint>', 'model directory')
    .addOption(integerOption('--epochs <n>', 'passes over the data (default: 3)', 1))
    .addOption(positiveOption('--learning-rate <x>', 'the highest (default: 5e-5)'))
    .addHelpText(
      'after',
      helpExamples(
        'train models/sentiment-mini --task sst2 --train demo/train.tsv --eval demo/eval.tsv --output tuned',
        'train pruned --task mrpc --train train.tsv --teacher my-model --epochs 2 --output recovered',
        'train my-model --task classification --train train.csv --text-column review --new-head --resume state --output tuned',
      ),
    );
  addTrainingOptions(addTrainedOutputOptions(command)).action((directory: string, flags: TrainFlags) =>
    runTraining(directory, flags, signal, (model, options) => {
      const { epochs, learningRate } = flags;
      return train(model, { ...options, recipe: { ...recipeOf(flags), ...defined({ epochs, learningRate }) } });
    }),
  );
}
