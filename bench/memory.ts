import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { presets } from '../src/prune/preset.js';
import type { Benchmark, Row } from './support/benchmark.js';
import { KEEP, SAMPLES } from './support/prune-run.js';

export const memory: Benchmark = {
  name: 'memory',
  title: `A model of BERT-base size pruned on ${SAMPLES} samples of MRPC, keep ${KEEP}, in a process of its own`,
  async run({ threads, log }) {
    const program = fileURLToPath(new URL('./support/peak-memory.js', import.meta.url));
    const rows: Row[] = [];
    for (const preset of presets) {
      log(preset);
      const { stdout } = await promisify(execFile)(process.execPath, [program, String(threads), preset]);
      if (stdout === '') {
        log('skipped: the MRPC data are absent (set ESPALIER_SHARED)');
        return [];
      }
      rows.push(JSON.parse(stdout));
    }
    return rows;
  },
};
