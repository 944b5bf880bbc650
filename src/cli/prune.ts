import type { Command } from 'commander';
import { checkOutput } from '../checkpoint/output-directory.js';
import { checkOutputFile } from '../checkpoint/output-file.js';
import { exportDense, loadModel, type PruneReport, prune, writeReportPage } from '../index.js';
import { megabytes, metricTable, optionalField, percent, times } from '../report/figures.js';
import { engineOptionsOf, ratioOption } from './options.js';
import { checkApart, checkNotNested, commandLine, helpExamples, printResult, printWarnings } from './output.js';
import { addStudyOptions, type StudyFlags, studyOptionsOf } from './study-options.js';
import { fields, table } from './table.js';
import { showProgress } from './terminal.js';

interface PruneFlags extends StudyFlags {
  keep: number;
  stages?: true;
  output: string;
  denseCopy?: string;
  report?: string;
  force?: true;
}

export function addPrune(program: Command, signal: AbortSignal): void {
  const command = program
    .command('prune')
    .description('remove heads and neurons of a fine-tuned checkpoint and write the smaller one')
    .argument('<checkpoint>', 'model directory')
    .addOption(
      ratioOption('--keep <ratio>', 'part of the multiply-accumulates or the latency to keep').makeOptionMandatory(),
    )
    .option('--stages', 'evaluate after every step of the method (needs --eval)')
    .requiredOption('--output <directory>', 'where to write the smaller checkpoint')
    .option('--dense-copy <directory>', 'write it in the unpruned shapes too, for stock transformers (see export)')
    .option('--report <file>', 'write a page with charts, and measure the latency before and after for it')
    .option('--force', 'replace what is there')
    .addHelpText(
      'after',
      helpExamples(
        'prune models/sentiment-mini --task sst2 --train demo/train.tsv --eval demo/eval.tsv --keep 0.5 --output pruned',
        'prune my-model --task classification --train train.csv --text-column review --keep 0.6 --output smaller --json',
        'prune my-model --task mrpc --train train.tsv --constraint latency --profile profile.json --keep 0.5 --output fast',
      ),
    );
  addStudyOptions(command).action(async (directory: string, flags: PruneFlags) => {
    const { force, denseCopy, report: page, keep, stages, output } = flags;
    checkApart({ '--output': output, '--dense-copy': denseCopy, '--report': page });
    checkOutput(output, force, [directory]);
    if (denseCopy !== undefined) {
      checkNotNested(output, denseCopy);
      checkOutput(denseCopy, force, [directory]);
    }
    if (page !== undefined) checkOutputFile(page, force, [directory, flags.train, flags.eval, flags.profile]);
    const onProgress = showProgress(process.stderr, flags.quiet);
    await using model = await loadModel(directory, { ...engineOptionsOf(flags), signal });
    const latency = page !== undefined;
    await using result = await prune(model, { ...studyOptionsOf(flags), keep, stages, latency, signal, onProgress });
    const report = { ...(await result.save(output, { force, signal })), denseCopy };
    if (denseCopy !== undefined) await exportDense(result.model, denseCopy, { force, signal });
    if (page !== undefined) {
      const { layers } = model.checkpoint.spec;
      await writeReportPage(report, page, { checkpoint: directory, layers, command: commandLine(), force, signal });
    }
    printWarnings(report.warnings);
    printResult(flags, report, () => summary(report));
  });
}

function summary({ achieved, dense, pruned, stages, layers, latency, seconds, output }: PruneReport): string {
  return [
    ...(dense ? [table(metricTable({ dense, ...stages, pruned })), ''] : []),
    fields([
      ['MACs', percent(achieved.macs)],
      ...optionalField('latency, predicted', achieved.latency, percent),
      ...optionalField('speed-up, measured', latency?.speedup, times),
      ['parameters', percent(achieved.parameters)],
      ['weights', megabytes(achieved.bytes)],
      ['heads per layer', layers.map(({ heads }) => heads).join(' ')],
      ['neurons per layer', layers.map(({ neurons }) => neurons).join(' ')],
      ['time', `${seconds.total.toFixed(1)} s`],
      ['written to', output ?? ''],
    ]),
  ].join('\n');
}
