import type { Command } from 'commander';
import { type TokensSweepReport, tokensSweep } from '../index.js';
import { tokensTable } from '../report/tokens-page.js';
import { type SweepMethod, sweepMethods } from '../tokens/methods.js';
import { addDroppingOptions, type DroppingFlags, droppingOptionsOf } from './dropping-options.js';
import { choiceListOption, notNegativeListOption, ratioListOption } from './options.js';
import { commandLine, helpExamples, printResult, printWarnings } from './output.js';
import { table } from './table.js';
import { withModels } from './training-options.js';

interface TokensSweepFlags extends DroppingFlags {
  methods: SweepMethod[];
  macs?: number[];
  lambdas?: number[];
}

export function addTokensSweep(tokens: Command, signal: AbortSignal): void {
  const command = tokens
    .command('sweep')
    .description('train by several methods to several budgets, with a page that compares them; resumable')
    .argument('<checkpoint>', 'model directory')
    .addOption(
      choiceListOption('--methods <name,...>', 'how tokens are chosen', sweepMethods).default(['learned'], 'learned'),
    )
    .addOption(ratioListOption('--macs <ratio,...>', 'parts of the multiply-accumulates to keep, for every method'))
    .addOption(
      notNegativeListOption('--lambdas <x,...>', 'train the method learned with each of these too, without a budget'),
    )
    .requiredOption('--output <directory>', 'where to write <method>-<ratio>/ of each, tokens.json and report.html')
    .option('--force', 'start anew in the directory of another sweep')
    .addHelpText(
      'after',
      helpExamples(
        'tokens sweep my-model --task mrpc --train train.tsv --eval dev.tsv --methods learned,top-k --macs 0.7,0.5,0.3 --output tokens',
        'tokens sweep models/sentiment-mini --task sst2 --train demo/train.tsv --eval demo/eval.tsv --lambdas 0.3,1,3 --output tokens',
      ),
    );
  addDroppingOptions(command).action((directory: string, flags: TokensSweepFlags) =>
    withModels(directory, flags, signal, async (model, options) => {
      const { methods, macs, lambdas, output, force } = flags;
      const report = await tokensSweep(model, {
        ...options,
        ...droppingOptionsOf(flags),
        methods,
        macs,
        lambdas,
        output,
        force,
        command: commandLine(),
      });
      for (const { name, report: made } of report.runs) printWarnings(made.warnings, name);
      printResult(flags, report, () => summary(report, output));
    }),
  );
}

const summary = ({ runs }: TokensSweepReport, output: string): string =>
  `${table(tokensTable(runs))}\n\nwritten to ${output}, with report.html`;
