import type { Command } from 'commander';
import { readCheckpoint } from '../checkpoint/checkpoint.js';
import type { TokenPruning } from '../native/addon.js';
import { grouped, megabytes } from '../report/figures.js';
import { type ModelReport, modelReport } from '../report/model-report.js';
import { addOutputOptions, integerOption, type OutputFlags } from './options.js';
import { helpExamples, printResult } from './output.js';
import { fields, table } from './table.js';

interface InspectFlags extends OutputFlags {
  maxLength: number;
}

export function addInspect(program: Command, signal: AbortSignal): void {
  const command = program
    .command('inspect')
    .description('what a checkpoint is: heads and neurons per layer, parameters, multiply-accumulates')
    .argument('<checkpoint>', 'model directory')
    .addOption(integerOption('--max-length <n>', 'tokens to count multiply-accumulates for', 1).default(128))
    .addHelpText('after', helpExamples('inspect models/sentiment-mini', 'inspect pruned --max-length 25 --json'));
  addOutputOptions(command).action(async (directory: string, flags: InspectFlags) => {
    const report = modelReport(await readCheckpoint(directory, { signal }), flags.maxLength);
    printResult(flags, report, () => describe(report));
  });
}

const ruleNames: Record<TokenPruning['rule'], string> = { threshold: 'token threshold', keepRate: 'token keep rate' };

function describe(report: ModelReport): string {
  const { layers, macs, tokenPruning } = report;
  const rows: [string, string][] = [
    ['architecture', `${report.architecture}, ${report.problem}`],
    ['labels', report.labels.join(', ')],
    ['hidden size', grouped(report.hiddenSize)],
    ['parameters', grouped(report.parameters)],
    ['weights', `${megabytes(report.bytes)}, ${report.dtype}`],
    ['MACs', `${grouped(macs.total)} on ${macs.length} tokens`],
  ];
  if (tokenPruning?.paddedLength) rows.push(['importance', `a mean over ${grouped(tokenPruning.paddedLength)} tokens`]);
  return [
    fields(rows),
    '',
    table([
      ['layer', 'heads', 'neurons', ...(tokenPruning ? [ruleNames[tokenPruning.rule]] : [])],
      ...layers.map(({ heads, neurons }, layer) => [
        String(layer),
        String(heads),
        grouped(neurons),
        ...(tokenPruning ? [(tokenPruning.values[layer] ?? 0).toPrecision(3)] : []),
      ]),
    ]),
  ].join('\n');
}
