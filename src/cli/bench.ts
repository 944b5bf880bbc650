import type { Command } from 'commander';
import * as v from 'valibot';
import { otherRuntimes } from '../api/bench.js';
import { checkOutputFile } from '../checkpoint/output-file.js';
import { type BenchReport, bench, loadModel, writeReportPage } from '../index.js';
import { EspalierError } from '../native/errors.js';
import { benchTable } from '../report/bench-page.js';
import { exitCodes } from './errors.js';
import {
  addDataOptions,
  addDeviceOptions,
  addOutputOptions,
  checkedOption,
  type DataFlags,
  type DeviceFlags,
  dataOptionsOf,
  engineOptionsOf,
  integerOption,
  listOption,
  mostSequences,
  numeric,
} from './options.js';
import { commandLine, helpExamples, printResult } from './output.js';
import { table } from './table.js';
import { showProgress } from './terminal.js';

interface BenchFlags extends DataFlags, DeviceFlags {
  against?: string;
  python?: string;
  batch: number[];
  length: number[];
  texts?: string;
  rounds: number;
  expectSpeedup?: number;
  report?: string;
  force?: true;
}

export function addBench(program: Command, signal: AbortSignal): void {
  const command = program
    .command('bench')
    .description('measure throughput and latency, by itself or against another checkpoint, onnxruntime or PyTorch')
    .argument('<checkpoint>', 'model directory')
    .option(
      '--against <opponent>',
      'who takes turns on the same inputs: another model directory, or onnxruntime or pytorch with this one (a directory of such a name: ./pytorch)',
    )
    .option('--python <path>', 'a Python that has torch and transformers, for --against pytorch (default: python3)')
    .addOption(listOption('--batch <n,...>', 'sequences that are run together', 1, mostSequences).default([256], '256'))
    .addOption(listOption('--length <n,...>', 'tokens of every sequence', 1).default([128], '128'))
    .option('--texts <file>', 'compute sequences of this data file instead')
    .addOption(integerOption('--rounds <n>', 'times that every batch is run', 1).default(9))
    .addOption(
      checkedOption(
        '--expect-speedup <ratio>',
        'exit with 3 where the median speed-up over --against is lower anywhere',
        'a number above 0',
        v.pipe(numeric, v.gtValue(0)),
      ),
    )
    .option('--report <file>', 'write a page with charts')
    .option('--force', 'replace an existing page')
    .addHelpText(
      'after',
      helpExamples(
        'bench models/sentiment-mini --batch 1,32,256 --length 32,128',
        'bench smaller --against onnxruntime --threads 4',
        'bench smaller --against pytorch --python venv/bin/python --json',
        'bench smaller --against my-model --task mrpc --texts dev.tsv --expect-speedup 1.5 --report bench.html',
      ),
    );
  addOutputOptions(addDeviceOptions(addDataOptions(command))).action(async (directory: string, flags: BenchFlags) => {
    if (flags.expectSpeedup !== undefined && flags.against === undefined) {
      throw new EspalierError('ERR_OPTION', '--expect-speedup has nothing to be faster than (give --against too)');
    }
    const { report: page, force } = flags;
    if (page !== undefined) checkOutputFile(page, force, [directory, flags.against, flags.texts]);
    const onProgress = showProgress(process.stderr, flags.quiet);
    const load = (path: string) => loadModel(path, { ...engineOptionsOf(flags), signal });
    await using model = await load(directory);
    const runtime = otherRuntimes.find((name) => name === flags.against);
    await using other = flags.against === undefined || runtime ? undefined : await load(flags.against);
    const report = await bench(model, {
      against: runtime ?? other,
      python: flags.python,
      ...dataOptionsOf(flags),
      batches: flags.batch,
      lengths: flags.length,
      texts: flags.texts,
      rounds: flags.rounds,
      signal,
      onProgress,
    });
    if (page !== undefined) {
      await writeReportPage(report, page, { checkpoint: directory, command: commandLine(), force, signal });
    }
    const least = Math.min(...report.rows.map(({ speedup }) => speedup?.median ?? Number.POSITIVE_INFINITY));
    if (flags.expectSpeedup !== undefined && least < flags.expectSpeedup) {
      process.stderr.write(`espalier: ${least.toFixed(2)} times as fast, ${flags.expectSpeedup} were expected\n`);
      process.exitCode = exitCodes.targetMissed;
    }
    printResult(flags, report, () => summary(report, directory));
  });
}

const summary = (report: BenchReport, checkpoint: string): string =>
  `${table(benchTable(report, checkpoint))}\n\n${report.rounds} rounds in turns on ${report.device}, ${report.threads} threads`;
