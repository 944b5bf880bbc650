import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Benchmark } from './support/benchmark.js';
import { KEEP, SAMPLES } from './support/prune-run.js';

export const memory: Benchmark = {
  name: 'memory',
  title: `Preset kwon on BERT-base size, ${SAMPLES} samples of MRPC, keep ${KEEP}, in a process of its own`,
  async run({ threads, log }) {
    log('pruning');
    const program = fileURLToPath(new URL('./support/peak-memory.js', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [program, String(threads)]);
    if (stdout === '') {
      log('skipped: the MRPC data are absent (set ESPALIER_SHARED)');
      return [];
    }
    return [JSON.parse(stdout)];
  },
};
