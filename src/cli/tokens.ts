import type { Command } from 'commander';
import { addTokensCalibrate } from './tokens-calibrate.js';
import { addTokensSweep } from './tokens-sweep.js';
import { addTokensTrain } from './tokens-train.js';

/** Commands about dropping tokens. */
export function addTokens(program: Command, signal: AbortSignal): void {
  const tokens = program
    .command('tokens')
    .description('make a checkpoint drop the tokens that matter least on their way');
  addTokensCalibrate(tokens, signal);
  addTokensTrain(tokens, signal);
  addTokensSweep(tokens, signal);
}
