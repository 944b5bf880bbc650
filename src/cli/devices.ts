import type { Command } from 'commander';
import { devices } from '../index.js';
import { addOutputOptions, type OutputFlags } from './options.js';
import { helpExamples, printResult } from './output.js';
import { fields } from './table.js';

export function addDevices(program: Command): void {
  const command = program
    .command('devices')
    .description('what can run here, and why not')
    .addHelpText('after', helpExamples('devices', 'devices --json'));
  addOutputOptions(command).action((flags: OutputFlags) => {
    const found = devices();
    printResult(flags, { command: 'devices', devices: found }, () =>
      fields(found.map(({ name, available, detail }) => [name, available ? detail : `not here: ${detail}`])),
    );
  });
}
