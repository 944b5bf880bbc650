import { resolve } from 'node:path';
import type { Command } from 'commander';
import { constraints } from '../api/prune.js';
import { checkOutput } from '../checkpoint/output-directory.js';
import {
  type Constraint,
  type DType,
  exportDense,
  loadModel,
  type Metrics,
  type PruneReport,
  prune,
} from '../index.js';
import { EspalierError } from '../native/errors.js';
import { type Preset, presets } from '../prune/preset.js';
import {
  addDataOptions,
  addDeviceOptions,
  addOutputOptions,
  choiceOption,
  type DataFlags,
  type DeviceFlags,
  dataOptionsOf,
  integerOption,
  ratioOption,
} from './options.js';
import { helpExamples, printResult } from './output.js';
import { fields, megabytes, percent, table } from './table.js';
import { showProgress } from './terminal.js';

interface PruneFlags extends DataFlags, DeviceFlags {
  train: string;
  eval?: string;
  keep: number;
  constraint: Constraint;
  profile?: string;
  preset: Preset;
  samples: number;
  batch?: number;
  seed: number;
  stages?: true;
  dtype?: DType;
  output: string;
  denseCopy?: string;
  force?: true;
}

export function addPrune(program: Command, signal: AbortSignal): void {
  const command = program
    .command('prune')
    .description('remove heads and neurons of a fine-tuned checkpoint and write the smaller one')
    .argument('<checkpoint>', 'model directory')
    .requiredOption('--train <file>', 'file to calibrate on, or - for standard input; kwon needs its labels')
    .option('--eval <file>', 'labelled file to compare the dense and the pruned model on')
    .addOption(
      ratioOption('--keep <ratio>', 'part of the multiply-accumulates or the latency to keep').makeOptionMandatory(),
    )
    .addOption(choiceOption('--constraint <kind>', 'what --keep limits', constraints).default('macs'))
    .option('--profile <file>', 'measured latencies, of espalier profile (default: measured now, for 256 of the texts)')
    .addOption(choiceOption('--preset <name>', 'method', presets).default('espalier'))
    .addOption(integerOption('--samples <n>', 'calibration samples', 1).default(2048))
    .addOption(integerOption('--batch <n>', "mini-batch of kwon's gradients (default: the task's, 32 or 12)", 1))
    .addOption(integerOption('--seed <n>', 'seed of the sampling', 0).default(0))
    .option('--stages', 'evaluate after every step of the method (needs --eval)')
    .addOption(
      choiceOption('--dtype <type>', "type of the written weights (default: the source's)", ['f32', 'f16', 'bf16']),
    )
    .requiredOption('--output <directory>', 'where to write the smaller checkpoint')
    .option('--dense-copy <directory>', 'write it in the unpruned shapes too, for stock transformers (see export)')
    .option('--force', 'replace existing checkpoints there')
    .addHelpText(
      'after',
      helpExamples(
        'prune models/sentiment-mini --task sst2 --train demo/train.tsv --eval demo/eval.tsv --keep 0.5 --output pruned',
        'prune my-model --task classification --train train.csv --text-column review --keep 0.6 --output smaller --json',
        'prune my-model --task mrpc --train train.tsv --constraint latency --profile profile.json --keep 0.5 --output fast',
      ),
    );
  addOutputOptions(addDeviceOptions(addDataOptions(command))).action(async (directory: string, flags: PruneFlags) => {
    const { force, denseCopy } = flags;
    checkOutput(flags.output, force);
    if (denseCopy !== undefined) checkDenseCopy(denseCopy, flags);
    const onProgress = showProgress(process.stderr, flags.quiet);
    await using model = await loadModel(directory, { device: flags.device, threads: flags.threads, signal });
    await using result = await prune(model, {
      ...dataOptionsOf(flags),
      train: flags.train,
      eval: flags.eval,
      keep: flags.keep,
      constraint: flags.constraint,
      profile: flags.profile,
      preset: flags.preset,
      samples: flags.samples,
      batch: flags.batch,
      seed: flags.seed,
      stages: flags.stages,
      dtype: flags.dtype,
      signal,
      onProgress,
    });
    const report = { ...(await result.save(flags.output, { force, signal })), denseCopy };
    if (denseCopy !== undefined) await exportDense(result.model, denseCopy, { force, signal });
    for (const warning of report.warnings ?? []) process.stderr.write(`espalier: warning: ${warning}\n`);
    printResult(flags, report, () => summary(report));
  });
}

function checkDenseCopy(denseCopy: string, { output, force }: PruneFlags): void {
  if (resolve(denseCopy) === resolve(output)) {
    throw new EspalierError('ERR_OPTION', '--dense-copy and --output are the same directory (give two)');
  }
  checkOutput(denseCopy, force);
}

function summary({ achieved, dense, pruned, stages, layers, seconds, output }: PruneReport): string {
  const columns = Object.entries({ dense, ...stages, pruned }).filter(
    (column): column is [string, Metrics] => !!column[1],
  );
  const metrics = Object.keys(dense ?? {}).map((name) => [
    name,
    ...columns.map(([, values]) => (values[name] ?? 0).toFixed(4)),
  ]);
  return [
    ...(metrics.length > 0 ? [table([['', ...columns.map(([name]) => name)], ...metrics]), ''] : []),
    fields([
      ['MACs', percent(achieved.macs)],
      ...(achieved.latency === undefined
        ? []
        : [['latency, predicted', percent(achieved.latency)] as [string, string]]),
      ['parameters', percent(achieved.parameters)],
      ['weights', megabytes(achieved.bytes)],
      ['heads per layer', layers.map(({ heads }) => heads).join(' ')],
      ['neurons per layer', layers.map(({ neurons }) => neurons).join(' ')],
      ['time', `${seconds.total.toFixed(1)} s`],
      ['written to', output ?? ''],
    ]),
  ].join('\n');
}
