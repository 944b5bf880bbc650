import type { Command } from 'commander';
import * as v from 'valibot';
import { type BenchReport, bench, loadModel, type Speed } from '../index.js';
import { EspalierError } from '../native/errors.js';
import { grouped } from '../report/figures.js';
import { exitCodes } from './errors.js';
import {
  addDataOptions,
  addDeviceOptions,
  addOutputOptions,
  checkedOption,
  type DataFlags,
  type DeviceFlags,
  dataOptionsOf,
  integerOption,
  listOption,
  numeric,
} from './options.js';
import { helpExamples, printResult } from './output.js';
import { table } from './table.js';
import { showProgress } from './terminal.js';

interface BenchFlags extends DataFlags, DeviceFlags {
  against?: string;
  batch: number[];
  length: number[];
  texts?: string;
  rounds: number;
  expectSpeedup?: number;
}

export function addBench(program: Command, signal: AbortSignal): void {
  const command = program
    .command('bench')
    .description('measure throughput and latency, by itself or against another checkpoint')
    .argument('<checkpoint>', 'model directory')
    .option('--against <checkpoint>', 'another model directory, which takes turns on the same inputs')
    .addOption(listOption('--batch <n,...>', 'sequences that are run together', 1).default([256], '256'))
    .addOption(listOption('--length <n,...>', 'tokens of every sequence', 1).default([128], '128'))
    .option('--texts <file>', 'take the lengths of sequences of this data file instead')
    .addOption(integerOption('--rounds <n>', 'times that every batch is run', 1).default(9))
    .addOption(
      checkedOption(
        '--expect-speedup <ratio>',
        'exit with 3 where the median speed-up over --against is lower anywhere',
        'a number above 0',
        v.pipe(numeric, v.gtValue(0)),
      ),
    )
    .addHelpText(
      'after',
      helpExamples(
        'bench models/sentiment-mini --batch 1,32,256 --length 32,128',
        'bench smaller --against my-model --task mrpc --texts dev.tsv --expect-speedup 1.5',
      ),
    );
  addOutputOptions(addDeviceOptions(addDataOptions(command))).action(async (directory: string, flags: BenchFlags) => {
    if (flags.expectSpeedup !== undefined && flags.against === undefined) {
      throw new EspalierError('ERR_OPTION', '--expect-speedup has nothing to be faster than (give --against too)');
    }
    const onProgress = showProgress(process.stderr, flags.quiet);
    const load = (path: string) => loadModel(path, { device: flags.device, threads: flags.threads, signal });
    await using model = await load(directory);
    await using against = flags.against === undefined ? undefined : await load(flags.against);
    const report = await bench(model, {
      against,
      ...dataOptionsOf(flags),
      batches: flags.batch,
      lengths: flags.length,
      texts: flags.texts,
      rounds: flags.rounds,
      signal,
      onProgress,
    });
    printResult(flags, report, () => summary(report, directory, flags.against));
    const least = Math.min(...report.rows.map(({ speedup }) => speedup?.median ?? Number.POSITIVE_INFINITY));
    if (flags.expectSpeedup !== undefined && least < flags.expectSpeedup) {
      process.stderr.write(`espalier: ${least.toFixed(2)} times as fast, ${flags.expectSpeedup} were expected\n`);
      process.exitCode = exitCodes.targetMissed;
    }
  });
}

function summary({ rows, rounds, device, threads }: BenchReport, model: string, against: string | undefined): string {
  const milliseconds = (seconds: number) => (1000 * seconds).toFixed(2);
  const line = (name: string, { tokensPerSecond, latency }: Speed, batch: string, length: string, ratio: string) => [
    name,
    batch,
    length,
    grouped(tokensPerSecond),
    ...[latency.median, latency.p90, latency.p99].map(milliseconds),
    ...(against === undefined ? [] : [ratio]),
  ];
  const lines = rows.flatMap((row) => {
    const batch = String(row.batch);
    const length = row.length === undefined ? (row.tokens / row.batch).toFixed(1) : String(row.length);
    const { speedup, against: other } = row;
    const ratio = speedup
      ? `${speedup.median.toFixed(2)}x (${speedup.lowest.toFixed(2)} to ${speedup.highest.toFixed(2)})`
      : '';
    return [
      line(model, row, batch, length, ratio),
      ...(other ? [line(against as string, other, batch, length, '')] : []),
    ];
  });
  const head = ['', 'batch', 'length', 'tokens/s', 'median ms', 'p90 ms', 'p99 ms', ...(against ? ['speed-up'] : [])];
  return `${table([head, ...lines])}\n\n${rounds} rounds in turns on ${device}, ${threads} threads`;
}
