import type { Command } from 'commander';
import { checkOutput } from '../checkpoint/output-directory.js';
import { calibrateTokens, type DType, loadModel } from '../index.js';
import { paddedLengthOption } from './dropping-options.js';
import {
  addDataOptions,
  addDeviceOptions,
  addOutputOptions,
  type DataFlags,
  type DeviceFlags,
  dataOptionsOf,
  dtypeOption,
  engineOptionsOf,
  integerOption,
  ratioOption,
} from './options.js';
import { helpExamples, printResult } from './output.js';
import { showProgress } from './terminal.js';
import { trainingSummary } from './training-options.js';

interface TokensCalibrateFlags extends DataFlags, DeviceFlags {
  macs: number;
  train: string;
  eval?: string;
  samples: number;
  seed: number;
  paddedLength?: number;
  reconstruct: boolean;
  dtype?: DType;
  output: string;
  force?: true;
}

export function addTokensCalibrate(tokens: Command, signal: AbortSignal): void {
  const command = tokens
    .command('calibrate')
    .description('find thresholds below which tokens are dropped, without training and without labels')
    .argument('<checkpoint>', 'model directory')
    .addOption(ratioOption('--macs <ratio>', 'part of the multiply-accumulates to keep').makeOptionMandatory())
    .requiredOption('--train <file>', 'file of texts to calibrate on, or - for standard input')
    .option('--eval <file>', 'labelled file to compare the model on before and after')
    .addOption(integerOption('--samples <n>', 'texts to calibrate on; as many more judge new weights', 1).default(256))
    .addOption(integerOption('--seed <n>', 'seed of the draw', 0).default(0))
    .addOption(paddedLengthOption('0'))
    .addOption(dtypeOption())
    .option('--no-reconstruct', 'leave the weights as they are: do not solve for projections that make up for tokens')
    .requiredOption('--output <directory>', 'where to write the checkpoint that drops tokens')
    .option('--force', 'replace what is there')
    .addHelpText(
      'after',
      helpExamples(
        'tokens calibrate models/sentiment-mini --task sst2 --train demo/train.tsv --eval demo/eval.tsv --macs 0.7 --output short',
        'tokens calibrate pruned --train texts.txt --macs 0.6 --output pruned-and-short --json',
      ),
    );
  addOutputOptions(addDeviceOptions(addDataOptions(command))).action(
    async (directory: string, flags: TokensCalibrateFlags) => {
      const { macs, samples, seed, paddedLength, reconstruct, dtype, force, output } = flags;
      checkOutput(output, force, [directory]);
      const onProgress = showProgress(process.stderr, flags.quiet);
      await using model = await loadModel(directory, { ...engineOptionsOf(flags), signal });
      const data = { ...dataOptionsOf(flags), train: flags.train, eval: flags.eval };
      const options = { ...data, macs, samples, seed, paddedLength, reconstruct, dtype };
      await using result = await calibrateTokens(model, { ...options, signal, onProgress });
      const report = await result.save(output, { force, signal });
      printResult(flags, report, () => trainingSummary(report));
    },
  );
}
