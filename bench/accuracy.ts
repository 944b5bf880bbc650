import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { Engine } from '../src/native/engine.js';
import type { EspalierPart } from '../src/prune/espalier.js';
import type { Preset } from '../src/prune/preset.js';
import { hasShared } from '../test/support/paths.js';
import { type AccuracyJob, type AccuracyRow, runAccuracyJob } from './support/accuracy-job.js';
import { accuracyTables } from './support/accuracy-table.js';
import { list, numbers } from './support/lists.js';

const everything = {
  checkpoints: ['minilm-mrpc', 'minilm-sst2', 'minilm-stsb', 'distil-qnli', 'roberta-sst2', 'minilm-squad'],
  presets: ['espalier', 'kwon'] as Preset[],
  keeps: [0.6, 0.5, 0.4, 0.3, 0.2, 0.1],
  seeds: [0, 1, 2],
};
const quick = { ...everything, keeps: [0.6, 0.4, 0.2], seeds: [0] };

interface Flags extends Partial<typeof everything> {
  quick: boolean;
  samples: number;
  without: EspalierPart[];
  texts?: string;
  threads?: number;
  output: string;
  job?: string;
}
const flags = new Command('npm run bench:accuracy --')
  .description('Prunes every checkpoint to every budget, and prints the table of all results.')
  .option('--quick', 'fewer budgets and seeds: within the hour on two cores', false)
  .option('--checkpoints <names>', 'separated by commas, as all lists here', list)
  .option('--presets <names>', 'of `espalier prune`', list)
  .option('--keeps <ratios>', 'parts of the multiply-accumulates to keep', numbers)
  .option('--seeds <numbers>', 'one draw of samples each', numbers)
  .option('--samples <n>', 'calibration samples', Number, 2048)
  .option('--without <parts>', 'of preset espalier, to see what they are worth', list, [])
  .option('--texts <task>', 'whose training texts to calibrate on (default: the own task)')
  .option('--threads <n>', '(default: all that there are)', Number)
  .option(
    '--output <file>',
    'gets a line of JSON for each result; those that it has are not made again',
    'accuracy.jsonl',
  )
  .addOption(new Option('--job <json>').hideHelp())
  .parse()
  .opts<Flags>();

if (flags.job !== undefined) {
  // A process of its own for each job, so that its peak memory is its own.
  await runAccuracyJob(JSON.parse(flags.job), (row) => console.log(JSON.stringify(row)));
} else if (!hasShared) {
  console.error('skipped: the models and data are absent (set ESPALIER_SHARED)');
} else {
  await runAll();
}

async function runAll(): Promise<void> {
  const { checkpoints, presets, keeps, seeds } = { ...(flags.quick ? quick : everything), ...flags };
  const { samples, without, texts, threads = Engine.open().threads } = flags;
  for (const checkpoint of checkpoints) {
    for (const seed of seeds) {
      for (const preset of presets) {
        await run({ checkpoint, preset, without, samples, seed, keeps, threads, ...(texts && { texts }) });
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
