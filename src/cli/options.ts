import { type Command, Option } from 'commander';
import * as v from 'valibot';
import type { DataOptions } from '../api/evaluate.js';
import { type DataFormat, dataFormats } from '../data/rows.js';
import { type Precision, precisions } from '../native/addon.js';
import type { EngineOptions } from '../native/engine.js';
import { EspalierError } from '../native/errors.js';
import { type Columns, taskNames } from '../tasks/task.js';

/** A number in decimal notation. */
export const numeric = v.pipe(
  v.string(),
  v.regex(/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i),
  v.transform((text) => Number(text)),
  v.finite(),
);
export const notNegative = v.pipe(numeric, v.minValue(0));
const integer = (minimum: number, maximum: number) =>
  v.pipe(numeric, v.integer(), v.minValue(minimum), v.maxValue(maximum));

/** An option whose value is checked when it is read; `expected` completes "give ...". */
export function checkedOption<Schema extends v.GenericSchema<string, unknown>>(
  flags: string,
  description: string,
  expected: string,
  schema: Schema,
): Option {
  const option = new Option(flags, description);
  return option.argParser((value: string) => {
    const result = v.safeParse(schema, value);
    if (result.success) return result.output;
    throw new EspalierError('ERR_OPTION', `${option.long} cannot be '${value}' (give ${expected})`);
  });
}

const largest = 2 ** 31 - 1;
/** Of a batch to be measured. */
export const mostSequences = 65_536;

export function integerOption(flags: string, description: string, minimum: number, maximum = largest): Option {
  const range =
    maximum === largest ? `a whole number, at least ${minimum}` : `a whole number from ${minimum} to ${maximum}`;
  return checkedOption(flags, description, range, integer(minimum, maximum));
}

/** Whole numbers separated by commas. */
export function listOption(flags: string, description: string, minimum: number, maximum = largest): Option {
  const bounds = maximum === largest ? `, at least ${minimum}` : ` from ${minimum} to ${maximum}`;
  return checkedOption(
    flags,
    description,
    `whole numbers${bounds}, separated by commas`,
    listOf(integer(minimum, maximum)),
  );
}

const listOf = <Schema extends v.GenericSchema<string, unknown>>(item: Schema) =>
  v.pipe(
    v.string(),
    v.transform((text) => text.split(',')),
    v.array(item),
  );

export function choiceOption(flags: string, description: string, choices: readonly [string, ...string[]]): Option {
  const listed = choices.join(', ');
  return checkedOption(flags, `${description}: ${listed}`, listed, v.picklist(choices));
}

/** Of the weights that a command writes. */
export const dtypeOption = (): Option =>
  choiceOption('--dtype <type>', "type of the written weights (default: the source's)", ['f32', 'f16', 'bf16']);

export function choiceListOption(flags: string, description: string, choices: readonly [string, ...string[]]): Option {
  const listed = choices.join(', ');
  return checkedOption(
    flags,
    `${description}: ${listed}`,
    `some of ${listed}, separated by commas`,
    listOf(v.picklist(choices)),
  );
}

const ratio = v.pipe(numeric, v.gtValue(0), v.maxValue(1));

export function ratioOption(flags: string, description: string): Option {
  return checkedOption(flags, description, 'a number above 0, at most 1', ratio);
}

export function ratioListOption(flags: string, description: string): Option {
  return checkedOption(flags, description, 'numbers above 0, at most 1, separated by commas', listOf(ratio));
}

export function notNegativeListOption(flags: string, description: string): Option {
  return checkedOption(flags, description, 'numbers, at least 0, separated by commas', listOf(notNegative));
}

export interface OutputFlags {
  json?: true;
  quiet?: true;
}

export interface DeviceFlags extends OutputFlags {
  device: string;
  threads?: number;
  precision: Precision;
}

/** Where and how a command computes. */
export function engineOptionsOf({ device, threads, precision }: DeviceFlags): EngineOptions {
  return { device, threads, precision };
}

export interface DataFlags {
  task?: string;
  textColumn?: string;
  pairColumn?: string;
  labelColumn?: string;
  format?: DataFormat;
  maxLength?: number;
}

/** What says how the data files of a command are read. */
export function dataOptionsOf(flags: DataFlags): DataOptions {
  const { task, format, maxLength } = flags;
  return { task, columns: columnsOf(flags), format, maxLength };
}

export function columnsOf({ textColumn, pairColumn, labelColumn }: DataFlags): Partial<Columns> {
  return { text: textColumn, pair: pairColumn, label: labelColumn };
}

export function addOutputOptions(command: Command): Command {
  return command.option('--json', 'print one JSON object on standard output').option('--quiet', 'show no progress');
}

export function addDeviceOptions(command: Command): Command {
  const device = checkedOption(
    '--device <name>',
    'where to compute: auto, cpu, cuda or cuda:N',
    'auto, cpu, cuda or cuda:N',
    v.pipe(v.string(), v.regex(/^(auto|cpu|cuda(:\d+)?)$/)),
  );
  return command
    .addOption(device.default('auto'))
    .addOption(integerOption('--threads <n>', 'threads to compute with (default: all this process may use)', 1, 1024))
    .addOption(choiceOption('--precision <type>', 'arithmetic, all but fp32 on CUDA only', precisions).default('fp32'));
}

export function addMaxLengthOption(command: Command): Command {
  return command.addOption(integerOption('--max-length <n>', "longest sequence in tokens (default: the task's)", 2));
}

export function addTextOptions(command: Command): Command {
  return command
    .option('--text-column <name>', 'column of the text, for a file of your own')
    .option('--pair-column <name>', 'column of the second text, for a file of your own')
    .addOption(choiceOption('--format <name>', 'format of the data files, whatever their names end in', dataFormats));
}

export function addDataOptions(command: Command): Command {
  command.option('--task <name>', `${taskNames.join(', ')}; the last two for a file of your own`);
  return addMaxLengthOption(
    addTextOptions(command).option('--label-column <name>', 'column of the label, for a file of your own'),
  );
}
