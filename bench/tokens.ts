// Usage: npm run bench:tokens -- [--checkpoints A,B] [--methods learned,calibrated] [--macs 0.5,0.4] [--seeds 0,1]
//   [--soft-epochs N] [--hard-epochs N] [--padded-length N] [--device NAME] [--threads N] [--output DIRECTORY] [--results FILE]
// Makes every checkpoint drop tokens by every method, `espalier tokens sweep` with the checkpoint for its own teacher, in
// DIRECTORY/<checkpoint>-<seed>, where a stopped run goes on; writes a line of JSON for each of its results to FILE and
// prints the table of all.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Example } from '../src/data/examples.js';
import { type LoadedModel, loadModel, tokensSweep } from '../src/index.js';
import type { Task } from '../src/tasks/task.js';
import { type SweepMethod, sweepMethods } from '../src/tokens/methods.js';
import { hasShared, sharedPath } from '../test/support/paths.js';
import { developmentExamples, lengthIn, taskFor, trainingExamples } from './support/shared-checkpoints.js';
import { groupOf, type TokensRow, tokensTable } from './support/tokens-table.js';

const checkpoints = ['minilm-mrpc', 'minilm-sst2', 'roberta-sst2', 'distil-qnli'];
const mostTrainingRows = 10_000;

const { values: flags } = parseArgs({
  options: {
    checkpoints: { type: 'string', default: checkpoints.join() },
    methods: { type: 'string', default: sweepMethods.join() },
    macs: { type: 'string', default: '0.5' },
    seeds: { type: 'string', default: '0' },
    'soft-epochs': { type: 'string', default: '3' },
    'hard-epochs': { type: 'string', default: '3' },
    'padded-length': { type: 'string' },
    device: { type: 'string', default: 'cpu' },
    threads: { type: 'string' },
    output: { type: 'string', default: 'tokens' },
    results: { type: 'string', default: 'tokens.jsonl' },
  },
});
const list = (values: string) => values.split(',');

if (!hasShared) console.error('skipped: the models and data are absent (set ESPALIER_SHARED)');
else {
  for (const checkpoint of list(flags.checkpoints)) {
    for (const seed of list(flags.seeds).map(Number)) await run(checkpoint, seed);
  }
  console.log(tokensTable(resultsSoFar()));
}

async function run(checkpoint: string, seed: number): Promise<void> {
  const threads = flags.threads === undefined ? undefined : Number(flags.threads);
  await using model = await loadModel(sharedPath('models', checkpoint), { threads, device: flags.device });
  const task = taskFor(model, checkpoint);
  const dev = await developmentExamples(task);
  const { runs } = await tokensSweep(model, {
    task: task.name,
    train: await someTrainingExamples(model, task, dev),
    eval: dev,
    teacher: model,
    methods: list(flags.methods) as SweepMethod[],
    macs: list(flags.macs).map(Number),
    seed,
    thresholds: flags['padded-length'] === undefined ? {} : { paddedLength: Number(flags['padded-length']) },
    soft: { epochs: Number(flags['soft-epochs']) },
    hard: { epochs: Number(flags['hard-epochs']) },
    output: join(flags.output, `${checkpoint}-${seed}`),
    onProgress: ({ stage, done, total, note = '' }) => {
      if (done === total) console.error(`${checkpoint}, seed ${seed}: ${stage} ${note}`);
    },
  });
  const rows = runs.map(({ method, macs, report, latency }): TokensRow => {
    const { dense = {}, trained = {}, dropping, tokenPruning, seconds } = report;
    return {
      checkpoint,
      seed,
      device: report.device,
      method,
      target: macs as number,
      macs: dropping?.macs ?? 1,
      keptPerLayer: dropping?.keptPerLayer ?? [],
      values: tokenPruning?.values ?? [],
      paddedLength: tokenPruning?.paddedLength ?? 0,
      dense: dense.accuracy as number,
      accuracy: trained.accuracy as number,
      speedup: latency?.speedup.median ?? 1,
      seconds: seconds.total,
    };
  });
  const replaced = new Set(rows.map(groupOf));
  const others = resultsSoFar().filter((row) => row.seed !== seed || !replaced.has(groupOf(row)));
  const lines = [...others, ...rows].map((row) => `${JSON.stringify(row)}\n`);
  writeFileSync(flags.results, lines.join(''));
}

/** SST-2's training data are phrases, of 13 tokens in the mean: of these, lengths as its development sentences have them. */
async function someTrainingExamples(model: LoadedModel, task: Task, dev: readonly Example[]): Promise<Example[]> {
  const examples = await trainingExamples(task);
  if (task.name !== 'sst2') return examples.slice(0, mostTrainingRows);
  const length = lengthIn(model, task);
  const wanted = new Map<number, number>();
  for (const example of dev) {
    wanted.set(length(example), (wanted.get(length(example)) ?? 0) + mostTrainingRows / dev.length);
  }
  return examples.filter((example) => {
    const left = wanted.get(length(example)) ?? 0;
    wanted.set(length(example), left - 1);
    return left >= 1;
  });
}

function resultsSoFar(): TokensRow[] {
  if (!existsSync(flags.results)) return [];
  const lines = readFileSync(flags.results, 'utf8').trim().split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line));
}
