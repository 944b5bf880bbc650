// Usage: npm run bench:accuracy -- [--quick] [--checkpoints A,B] [--presets espalier,kwon] [--keeps 0.6,0.5] [--seeds 0,1]
//   [--samples N] [--without PART,PART] [--texts TASK] [--threads N] [--output FILE]
// Appends a line of JSON to FILE for every model it pruned and evaluated, and leaves out those that are there already;
// prints the table of all of them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Engine } from '../src/native/engine.js';
import type { EspalierPart } from '../src/prune/espalier.js';
import type { Preset } from '../src/prune/preset.js';
import { hasShared } from '../test/support/paths.js';
import { type AccuracyJob, type AccuracyRow, runAccuracyJob } from './support/accuracy-job.js';
import { accuracyTables } from './support/accuracy-table.js';

const everything = {
  checkpoints: 'minilm-mrpc,minilm-sst2,minilm-stsb,distil-qnli,roberta-sst2,minilm-squad',
  presets: 'espalier,kwon',
  keeps: '0.6,0.5,0.4,0.3,0.2,0.1',
  seeds: '0,1,2',
};
/** Within the hour on two cores. */
const quick = { ...everything, keeps: '0.6,0.4,0.2', seeds: '0' };

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    checkpoints: { type: 'string' },
    presets: { type: 'string' },
    keeps: { type: 'string' },
    seeds: { type: 'string' },
    samples: { type: 'string', default: '2048' },
    without: { type: 'string' },
    texts: { type: 'string' },
    threads: { type: 'string' },
    output: { type: 'string', default: 'accuracy.jsonl' },
    job: { type: 'string' },
  },
});

if (flags.job !== undefined) {
  // A process of its own for each job, so that its peak memory is its own.
  await runAccuracyJob(JSON.parse(flags.job), (row) => console.log(JSON.stringify(row)));
} else if (!hasShared) {
  console.error('skipped: the models and data are absent (set ESPALIER_SHARED)');
} else {
  await runAll();
}

async function runAll(): Promise<void> {
  const choice = { ...(flags.quick ? quick : everything), ...flags };
  const list = (values: string | undefined) => values?.split(',') ?? [];
  const threads = flags.threads === undefined ? Engine.open().threads : Number(flags.threads);
  for (const checkpoint of list(choice.checkpoints)) {
    for (const seed of list(choice.seeds).map(Number)) {
      for (const preset of list(choice.presets) as Preset[]) {
        const without = list(flags.without) as EspalierPart[];
        const keeps = list(choice.keeps).map(Number);
        const { samples, texts } = flags;
        await run({
          checkpoint,
          preset,
          without,
          samples: Number(samples),
          seed,
          keeps,
          threads,
          ...(texts && { texts }),
        });
      }
    }
  }
  console.log(accuracyTables(resultsSoFar()));
}

/** Runs what is missing of a job, adding its rows to the results. */
async function run(job: AccuracyJob): Promise<void> {
  const keeps = job.keeps.filter((keep) => !resultsSoFar().some((row) => isOf(row, job) && row.keep === keep));
  if (keeps.length === 0) return;
  const args = [fileURLToPath(import.meta.url), '--job', JSON.stringify({ ...job, keeps })];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface(child.stdout)) {
    appendFileSync(flags.output, `${line}\n`);
    const { checkpoint, preset, seed, keep, dense, pruned, seconds } = JSON.parse(line) as AccuracyRow;
    const loss = (100 * (dense - pruned)).toFixed(2);
    console.error(
      `${checkpoint} ${preset} seed ${seed} keep ${keep}: ${pruned.toFixed(4)}, ${loss} points lost, ${seconds.toFixed(0)} s`,
    );
  }
  if (child.exitCode === null) await once(child, 'exit');
  if (child.exitCode !== 0) throw new Error(`pruning ${job.checkpoint} failed`);
}

function isOf(row: AccuracyRow, job: AccuracyJob): boolean {
  const key = ({ checkpoint, preset, without, samples, seed, texts }: Omit<AccuracyJob, 'keeps' | 'threads'>) =>
    JSON.stringify([checkpoint, preset, without, samples, seed, texts]);
  return key(row) === key(job);
}

function resultsSoFar(): AccuracyRow[] {
  if (!existsSync(flags.output)) return [];
  return readFileSync(flags.output, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}
