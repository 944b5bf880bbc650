import type { Command } from 'commander';
import { constraints, type StudyOptions } from '../api/prune-study.js';
import type { Constraint, DType } from '../index.js';
import { type Preset, presets } from '../prune/preset.js';
import {
  addDataOptions,
  addDeviceOptions,
  addOutputOptions,
  choiceOption,
  type DataFlags,
  type DeviceFlags,
  dataOptionsOf,
  dtypeOption,
  integerOption,
} from './options.js';

/** What decides how a model is pruned, whatever the budget. */
export interface StudyFlags extends DataFlags, DeviceFlags {
  train: string;
  eval?: string;
  constraint: Constraint;
  profile?: string;
  preset: Preset;
  samples: number;
  batch?: number;
  seed: number;
  dtype?: DType;
}

export function addStudyOptions(command: Command): Command {
  command
    .requiredOption('--train <file>', 'file to calibrate on, or - for standard input; kwon needs its labels')
    .option('--eval <file>', 'labelled file to compare the dense and the pruned model on')
    .addOption(choiceOption('--constraint <kind>', 'what --keep limits', constraints).default('macs'))
    .option('--profile <file>', 'measured latencies, of espalier profile (default: measured now, for 256 of the texts)')
    .addOption(choiceOption('--preset <name>', 'method', presets).default('espalier'))
    .addOption(integerOption('--samples <n>', 'calibration samples', 1).default(2048))
    .addOption(integerOption('--batch <n>', "mini-batch of kwon's gradients (default: the task's, 32 or 12)", 1))
    .addOption(integerOption('--seed <n>', 'seed of the sampling', 0).default(0))
    .addOption(dtypeOption());
  return addOutputOptions(addDeviceOptions(addDataOptions(command)));
}

export function studyOptionsOf(flags: StudyFlags): StudyOptions {
  const { train, constraint, profile, preset, samples, batch, seed, dtype } = flags;
  const data = { ...dataOptionsOf(flags), train, eval: flags.eval };
  return { ...data, constraint, profile, preset, samples, batch, seed, dtype };
}
