import type { Command, Option } from 'commander';
import { trainTokens } from '../index.js';
import { EspalierError } from '../native/errors.js';
import { type TrainingMethod, trainingMethods } from '../tokens/methods.js';
import { addDroppingOptions, type DroppingFlags, droppingOptionsOf } from './dropping-options.js';
import { choiceOption, ratioOption } from './options.js';
import { helpExamples } from './output.js';
import { addTrainedOutputOptions, runTraining } from './training-options.js';

interface TokensTrainFlags extends DroppingFlags {
  method: TrainingMethod;
  macs?: number;
}

/** What only the method `learned` goes by. */
const ofLearned = ['lambda', 'temperature', 'thresholdLearningRate', 'softEpochs', 'softLearningRate'] as const;

export function addTokensTrain(tokens: Command, signal: AbortSignal): void {
  const command = tokens
    .command('train')
    .description('learn a threshold a layer, below which tokens are dropped, and adapt the weights to it')
    .argument('<checkpoint>', 'model directory')
    .addOption(choiceOption('--method <name>', 'how tokens are chosen', trainingMethods).default('learned'))
    .addOption(
      ratioOption('--macs <ratio>', 'part of the multiply-accumulates to keep (default: what --lambda leads to)'),
    )
    .addHelpText(
      'after',
      helpExamples(
        'tokens train my-model --task mrpc --train train.tsv --eval dev.tsv --macs 0.5 --teacher my-model --output fewer-tokens',
        'tokens train models/sentiment-mini --task sst2 --train demo/train.tsv --lambda 2 --soft-epochs 1 --output short',
      ),
    );
  addDroppingOptions(addTrainedOutputOptions(command)).action(async (directory: string, flags: TokensTrainFlags) => {
    const { method, macs } = flags;
    const idle = method === 'learned' ? undefined : ofLearned.find((flag) => flags[flag] !== undefined);
    if (idle) {
      const { long } = command.options.find((option) => option.attributeName() === idle) as Option;
      throw new EspalierError('ERR_OPTION', `${long} is of the method learned alone (leave it out)`);
    }
    await runTraining(directory, flags, signal, (model, options) =>
      trainTokens(model, { ...options, ...droppingOptionsOf(flags), method, macs }),
    );
  });
}
