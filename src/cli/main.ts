#!/usr/bin/env node
import { Command } from 'commander';
import { version } from '../version.js';
import { addBench } from './bench.js';
import { addDevices } from './devices.js';
import { describeFailure, exitCodes } from './errors.js';
import { addEvaluate } from './evaluate.js';
import { addExport } from './export.js';
import { addInspect } from './inspect.js';
import { addPredict } from './predict.js';
import { addProfile } from './profile.js';
import { addPrune } from './prune.js';
import { endBy, stopOnSignals } from './stop.js';
import { addSweep } from './sweep.js';
import { addTokens } from './tokens.js';
import { addTrain } from './train.js';

const stop = stopOnSignals();

// Whoever reads the output may stop reading: `espalier ... | head` is no failure, but no success where there was one.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') {
    // What is written to a file is wanted all the same.
    if (!process.argv.includes('--predictions')) process.exit(process.exitCode ?? exitCodes.ok);
    return;
  }
  process.stderr.write(`espalier: cannot write to standard output: ${error.message}\n`);
  process.exit(exitCodes.failure);
});

// Progress that nobody can be shown is no reason to stop working.
process.stderr.on('error', () => {});

const program = new Command('espalier')
  .description('Prunes fine-tuned BERT-family encoders after training into smaller, faster checkpoints.')
  .version(version)
  .exitOverride()
  .configureOutput({ outputError: () => {} });
addPrune(program, stop);
addSweep(program, stop);
addTokens(program, stop);
addTrain(program, stop);
addEvaluate(program, stop);
addPredict(program, stop);
addInspect(program, stop);
addProfile(program, stop);
addBench(program, stop);
addExport(program, stop);
addDevices(program);

try {
  await program.parseAsync();
} catch (error) {
  const { code, message, exitCode } = describeFailure(error, stop);
  process.exitCode = exitCode;
  if (message !== '') {
    // On a terminal a progress bar may stand half-drawn where the line belongs.
    process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}espalier: ${message}\n`);
    if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ error: { code, message } })}\n`);
  }
  // A read that nobody needs any more would keep the process alive; that of a pipe with a name cannot be ended.
  process.stdin.destroy();
  if (stop.aborted) setTimeout(endBy, 1000, stop.reason).unref();
}
