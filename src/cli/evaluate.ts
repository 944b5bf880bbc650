import type { Command } from 'commander';
import { evaluate, loadModel } from '../index.js';
import { grouped } from '../report/figures.js';
import {
  addDataOptions,
  addDeviceOptions,
  addOutputOptions,
  type DataFlags,
  type DeviceFlags,
  dataOptionsOf,
  engineOptionsOf,
  integerOption,
} from './options.js';
import { helpExamples, printResult } from './output.js';
import { droppingRows, metricRows, table } from './table.js';
import { showProgress } from './terminal.js';

interface EvaluateFlags extends DataFlags, DeviceFlags {
  eval: string;
  limit?: number;
  batch: number;
  predictions?: string;
  force?: true;
}

export function addEvaluate(program: Command, signal: AbortSignal): void {
  const command = program
    .command('evaluate')
    .description('measure a checkpoint on labelled data: metrics and tokens per second')
    .argument('<checkpoint>', 'model directory')
    .requiredOption('--eval <file>', 'labelled file, or - for standard input')
    .addOption(integerOption('--limit <n>', 'use only the first n examples', 1))
    .addOption(integerOption('--batch <n>', 'examples in one forward pass', 1).default(32))
    .option('--predictions <file>', "write the predictions here as the task's official evaluation reads them")
    .option('--force', 'replace an existing file there')
    .addHelpText(
      'after',
      helpExamples(
        'evaluate models/sentiment-mini --task sst2 --eval demo/eval.tsv',
        'evaluate my-model --task classification --eval dev.csv --text-column review --label-column stars --json',
        'evaluate my-qa-model --task squad --eval dev-v1.1.json --predictions answers.json',
      ),
    );
  addOutputOptions(addDeviceOptions(addDataOptions(command))).action(
    async (directory: string, flags: EvaluateFlags) => {
      const onProgress = showProgress(process.stderr, flags.quiet);
      await using model = await loadModel(directory, { ...engineOptionsOf(flags), signal });
      const result = await evaluate(model, {
        ...dataOptionsOf(flags),
        examples: flags.eval,
        limit: flags.limit,
        batch: flags.batch,
        predictions: flags.predictions,
        force: flags.force,
        signal,
        onProgress,
      });
      const { device, threads, precision } = model;
      printResult(flags, { command: 'evaluate', ...result, device, threads, precision }, () =>
        table([
          ...metricRows(result.metrics),
          ['examples', grouped(result.examples)],
          ['tokens/s', grouped(result.tokensPerSecond)],
          ...(result.dropping ? droppingRows(result.dropping) : []),
        ]),
      );
    },
  );
}
