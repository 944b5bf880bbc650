import type { Command } from 'commander';
import { type LatencyProfile, loadModel, profile } from '../index.js';
import { LatencyCost } from '../latency/latency-cost.js';
import { unitKindOf } from '../prune/units.js';
import { median } from '../statistics.js';
import {
  addDataOptions,
  addDeviceOptions,
  addOutputOptions,
  type DataFlags,
  type DeviceFlags,
  dataOptionsOf,
  engineOptionsOf,
  integerOption,
  mostSequences,
} from './options.js';
import { helpExamples, printResult } from './output.js';
import { fields, table } from './table.js';
import { showProgress } from './terminal.js';

interface ProfileFlags extends DataFlags, DeviceFlags {
  batch: number;
  length: number;
  texts?: string;
  rounds: number;
  output: string;
  force?: true;
}

export function addProfile(program: Command, signal: AbortSignal): void {
  const command = program
    .command('profile')
    .description('measure the latency of attention by heads and of FFNs by neurons on this machine')
    .argument('<checkpoint>', 'model directory')
    .addOption(integerOption('--batch <n>', 'sequences that are run together', 1, mostSequences).default(256))
    .addOption(integerOption('--length <n>', 'tokens of every sequence', 1).default(128))
    .option('--texts <file>', 'take the lengths of sequences of this data file instead')
    .addOption(integerOption('--rounds <n>', 'times that every width is measured', 1).default(7))
    .requiredOption('--output <file>', 'where to keep the profile; one that was interrupted is gone on with')
    .option('--force', 'start anew, and replace the profile of another model, batch or machine')
    .addHelpText(
      'after',
      helpExamples(
        'profile models/sentiment-mini --batch 256 --length 128 --output profile.json',
        'profile my-model --task mrpc --texts train.tsv --output profile.json',
        'prune my-model --task mrpc --train train.tsv --constraint latency --profile profile.json --keep 0.5 --output fast',
      ),
    );
  addOutputOptions(addDeviceOptions(addDataOptions(command))).action(async (directory: string, flags: ProfileFlags) => {
    const onProgress = showProgress(process.stderr, flags.quiet);
    await using model = await loadModel(directory, { ...engineOptionsOf(flags), signal });
    const measured = await profile(model, {
      ...dataOptionsOf(flags),
      batch: flags.batch,
      length: flags.length,
      texts: flags.texts,
      rounds: flags.rounds,
      output: flags.output,
      force: flags.force,
      signal,
      onProgress,
    });
    const predicted = new LatencyCost(measured, model.checkpoint.spec).whole(model.checkpoint.spec.layers);
    printResult(flags, measured, () => summary(measured, predicted, flags.output));
  });
}

function summary(profile: LatencyProfile, predicted: number, output: string): string {
  const { inner, last, rest, whole, lengths } = profile;
  const columns = (['attention', 'ffn'] as const).map((sublayer) =>
    table([
      [unitKindOf(sublayer), 'of a layer', ...(last ? ['of the last layer'] : [])],
      ...inner[sublayer].map(({ units, samples }) => [
        String(units),
        milliseconds(samples),
        ...(last ? [milliseconds(last[sublayer].find((point) => point.units === units)?.samples ?? [])] : []),
      ]),
    ]),
  );
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  return [
    ...columns.flatMap((column) => [column, '']),
    fields([
      ['batch', `${lengths.length} sequences, ${tokens} tokens`],
      ['without any unit', milliseconds(rest.samples)],
      ['whole model', milliseconds(whole.samples)],
      ['by the tables', `${(1000 * predicted).toFixed(2)} ms`],
      ['written to', output],
    ]),
  ].join('\n');
}

/** The median, and the lowest and highest. */
function milliseconds(samples: readonly number[]): string {
  if (samples.length === 0) return '';
  const text = (seconds: number) => (1000 * seconds).toFixed(2);
  return `${text(median(samples))} ms (${text(Math.min(...samples))} to ${text(Math.max(...samples))})`;
}
