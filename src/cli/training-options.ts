import { relative } from 'node:path';
import type { Command } from 'commander';
import * as v from 'valibot';
import type { TrainingOptions } from '../api/training-run.js';
import { checkOutput } from '../checkpoint/output-directory.js';
import {
  type DType,
  EspalierError,
  type LoadedModel,
  loadModel,
  type TrainReport,
  type TrainResult,
} from '../index.js';
import { metricTable, optionalField } from '../report/figures.js';
import type { Reconstruction } from '../tokens/reconstruct-dropping.js';
import type { Recipe } from '../training/recipe.js';
import { highestSeed } from '../training/steps.js';
import {
  addDataOptions,
  addDeviceOptions,
  addOutputOptions,
  checkedOption,
  type DataFlags,
  type DeviceFlags,
  dataOptionsOf,
  dtypeOption,
  engineOptionsOf,
  integerOption,
  notNegative,
  numeric,
} from './options.js';
import { printResult, printWarnings } from './output.js';
import { droppingRows, fields, table } from './table.js';
import { showProgress } from './terminal.js';

/** What decides how a model is trained, whatever the method. */
export interface TrainingFlags extends DataFlags, DeviceFlags {
  train: string;
  eval?: string;
  batch?: number;
  warmup?: number;
  weightDecay?: number;
  maxGradientNorm?: number;
  dropout?: number;
  seed: number;
  newHead?: true;
  teacher?: string;
  distillLabels?: number;
  distillLogits?: number;
  distillHidden?: number;
  distillTemperature?: number;
  resume?: string;
  dtype?: DType;
  output: string;
  force?: true;
}

export const positive = v.pipe(numeric, v.gtValue(0));

export const positiveOption = (flags: string, description: string) =>
  checkedOption(flags, description, 'a number above 0', positive);
export const notNegativeOption = (flags: string, description: string) =>
  checkedOption(flags, description, 'a number, at least 0', notNegative);

export function addTrainingOptions(command: Command): Command {
  const rate = (flags: string, description: string) =>
    checkedOption(flags, description, 'a number, at least 0 and below 1', v.pipe(notNegative, v.ltValue(1)));
  command
    .requiredOption('--train <file>', 'labelled file to learn from, or - for standard input')
    .option('--eval <file>', 'labelled file to evaluate on, before and after every pass over the data')
    .addOption(integerOption('--batch <n>', 'sequences of one step (default: 32)', 1))
    .addOption(rate('--warmup <part>', 'part of the steps that the learning rate rises over (default: 0.1)'))
    .addOption(notNegativeOption('--weight-decay <x>', 'of matrices and embeddings (default: 0.01)'))
    .addOption(positiveOption('--max-gradient-norm <x>', 'longer gradients are shortened to it (default: 1)'))
    .addOption(
      rate('--dropout <rate>', 'of attention, and after embeddings, projections and the pooler (default: 0.1)'),
    )
    .addOption(integerOption('--seed <n>', 'of the order of the data and of the dropout', 0, highestSeed).default(0))
    .option('--new-head', 'begin with a head that has learnt nothing')
    .option(
      '--teacher <checkpoint>',
      'learn from this model too; it needs the same depth, hidden size, vocabulary and labels',
    )
    .addOption(notNegativeOption('--distill-labels <weight>', "of the labels' loss beside a teacher (default: 1)"))
    .addOption(notNegativeOption('--distill-logits <weight>', "of the difference to the teacher's logits (default: 1)"))
    .addOption(notNegativeOption('--distill-hidden <weight>', 'of that to its hidden states (default: 0)'))
    .addOption(positiveOption('--distill-temperature <x>', 'of the logits that are compared (default: 2)'))
    .addOption(dtypeOption());
  return addOutputOptions(addDeviceOptions(addDataOptions(command)));
}

/** What says where one trained checkpoint goes. */
export function addTrainedOutputOptions(command: Command): Command {
  return command
    .requiredOption('--output <directory>', 'where to write the trained checkpoint')
    .option('--force', 'replace what is there')
    .option('--resume <directory>', 'keep the state of the training here, and go on from what is there');
}

/** What the flags say of every stage; what they leave open is left out. */
export function recipeOf(flags: TrainingFlags): Partial<Recipe> {
  const { batch, warmup, weightDecay, maxGradientNorm, dropout } = flags;
  return defined({ batch, warmup, weightDecay, maxGradientNorm, dropout });
}

/** Without what is undefined. */
export const defined = <T extends object>(values: T): Partial<T> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;

/** Loads the models, trains, saves and prints. */
export async function runTraining(
  directory: string,
  flags: TrainingFlags,
  signal: AbortSignal,
  work: (model: LoadedModel, options: TrainingOptions) => Promise<TrainResult>,
): Promise<void> {
  const { resume, force, output } = flags;
  // The output must not be there before training is over.
  if (resume !== undefined && !relative(output, resume).startsWith('..')) {
    throw new EspalierError('ERR_OPTION', '--resume is in the directory of --output (give another one)');
  }
  checkOutput(output, force, [directory, ...(flags.teacher === undefined ? [] : [flags.teacher])]);
  await withModels(directory, flags, signal, async (model, options) => {
    await using result = await work(model, { ...options, resume });
    const report = await result.save(output, { force, signal });
    printWarnings(report.warnings);
    printResult(flags, report, () => trainingSummary(report));
  });
}

/** Loads a model and its teacher for some work, which is told what the flags say. */
export async function withModels(
  directory: string,
  flags: TrainingFlags,
  signal: AbortSignal,
  work: (model: LoadedModel, options: TrainingOptions) => Promise<void>,
): Promise<void> {
  const { train, eval: evaluated, seed, newHead, dtype } = flags;
  const onProgress = showProgress(process.stderr, flags.quiet);
  await using model = await loadModel(directory, { ...engineOptionsOf(flags), signal });
  await using teacher =
    flags.teacher === undefined ? undefined : await loadModel(flags.teacher, { beside: model, signal });
  const distillation = defined({
    labels: flags.distillLabels,
    logits: flags.distillLogits,
    hidden: flags.distillHidden,
    temperature: flags.distillTemperature,
  });
  if (!teacher && Object.keys(distillation).length > 0) {
    throw new EspalierError('ERR_OPTION', 'there is nobody to distil from (give --teacher too)');
  }
  const data = { ...dataOptionsOf(flags), train, eval: evaluated };
  await work(model, { ...data, seed, newHead, dtype, teacher, distillation, signal, onProgress });
}

export function trainingSummary(report: TrainReport): string {
  const { dense, trained, epochs, dropping, reconstruction, seconds, output } = report;
  return [
    ...(dense && trained ? [table(metricTable({ before: dense, after: trained })), ''] : []),
    fields([
      ...optionalField('loss', epochs.at(-1)?.loss, (loss) => loss.toFixed(4)),
      ...(dropping ? droppingRows(dropping) : []),
      ...optionalField('new projections', reconstruction, reconstructed),
      ...optionalField('trained', epochs.at(-1)?.tokensPerSecond, (speed) => `${Math.round(speed)} tokens/s`),
      ['time', `${seconds.total.toFixed(1)} s`],
      ['written to', output ?? ''],
    ]),
  ].join('\n');
}

function reconstructed({ kept, divergence: { before, after } }: Reconstruction): string {
  const divergences = `divergence ${before.toFixed(4)} without and ${after.toFixed(4)} with them`;
  return `${kept ? 'kept' : 'left out'}: ${divergences}, on held-out texts`;
}
