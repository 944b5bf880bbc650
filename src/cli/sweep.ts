import type { Command } from 'commander';
import { loadModel, type SweepReport, sweep } from '../index.js';
import { budgetTable } from '../report/sweep-page.js';
import { engineOptionsOf, integerOption, ratioListOption } from './options.js';
import { commandLine, helpExamples, printResult, printWarnings } from './output.js';
import { addStudyOptions, type StudyFlags, studyOptionsOf } from './study-options.js';
import { table } from './table.js';
import { showProgress } from './terminal.js';

interface SweepFlags extends StudyFlags {
  keep: number[];
  jobs: number;
  output: string;
  force?: true;
}

export function addSweep(program: Command, signal: AbortSignal): void {
  const command = program
    .command('sweep')
    .description('prune to several budgets, with a page that compares them; one that was stopped is gone on with')
    .argument('<checkpoint>', 'model directory')
    .addOption(
      ratioListOption(
        '--keep <ratio,...>',
        'parts of the multiply-accumulates or the latency to keep',
      ).makeOptionMandatory(),
    )
    .addOption(
      integerOption('--jobs <n>', 'budgets that are pruned at once; one alone uses all threads', 1, 64).default(1),
    )
    .requiredOption('--output <directory>', 'where to write keep-<ratio>/ of each, sweep.json and report.html')
    .option('--force', 'start anew in the directory of another sweep')
    .addHelpText(
      'after',
      helpExamples(
        'sweep models/sentiment-mini --task sst2 --train demo/train.tsv --eval demo/eval.tsv --keep 0.7,0.5,0.3 --output sweep',
      ),
    );
  addStudyOptions(command).action(async (directory: string, flags: SweepFlags) => {
    const { keep: keeps, jobs, output, force } = flags;
    const onProgress = showProgress(process.stderr, flags.quiet);
    await using model = await loadModel(directory, { ...engineOptionsOf(flags), signal });
    const report = await sweep(model, {
      ...studyOptionsOf(flags),
      keeps,
      output,
      jobs,
      force,
      command: commandLine(),
      signal,
      onProgress,
    });
    for (const { keep, report: pruned } of report.budgets) printWarnings(pruned.warnings, String(keep));
    printResult(flags, report, () => summary(report, output));
  });
}

const summary = ({ budgets }: SweepReport, output: string): string =>
  `${table(budgetTable(budgets))}\n\nwritten to ${output}, with report.html`;
