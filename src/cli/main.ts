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
import { addSweep } from './sweep.js';
import { addTokens } from './tokens.js';
import { addTrain } from './train.js';

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stop.abort(signal);
    process.stdin.destroy(); // Ends whoever waits for input.
  });
}

// Whoever reads the output may stop reading: `espalier ... | head` is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(exitCodes.ok);
});

const program = new Command('espalier')
  .description('Prunes fine-tuned BERT-family encoders after training into smaller, faster checkpoints.')
  .version(version)
  .exitOverride()
  .configureOutput({ outputError: () => {} });
addPrune(program, stop.signal);
addSweep(program, stop.signal);
addTokens(program, stop.signal);
addTrain(program, stop.signal);
addEvaluate(program, stop.signal);
addPredict(program, stop.signal);
addInspect(program, stop.signal);
addProfile(program, stop.signal);
addBench(program, stop.signal);
addExport(program, stop.signal);
addDevices(program);

try {
  await program.parseAsync();
} catch (error) {
  const { code, message, exitCode } = describeFailure(error, stop.signal);
  if (message !== '') {
    // On a terminal a progress bar may stand half-drawn where the line belongs.
    process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}espalier: ${message}\n`);
    if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ error: { code, message } })}\n`);
  }
  process.exitCode = exitCode;
  process.stdin.destroy(); // A read that nobody needs any more would keep the process alive.
}
