import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import type { Example } from '../src/data/examples.js';
import { type LoadedModel, loadModel, tokensSweep } from '../src/index.js';
import type { Task } from '../src/tasks/task.js';
import { type SweepMethod, sweepMethods } from '../src/tokens/methods.js';
import { defaultRecipe } from '../src/training/recipe.js';
import { hasShared, sharedPath } from '../test/support/paths.js';
import { list, numbers } from './support/lists.js';
import { developmentExamples, lengthIn, taskFor, trainingExamples } from './support/shared-checkpoints.js';
import { groupOf, type TokensRow, tokensTable } from './support/tokens-table.js';

const checkpoints = ['minilm-mrpc', 'minilm-sst2', 'roberta-sst2', 'distil-qnli'];
const mostTrainingRows = 10_000;

interface Flags {
  checkpoints: string[];
  methods: SweepMethod[];
  macs: number[];
  seeds: number[];
  softEpochs: number;
  hardEpochs: number;
  dropout: number;
  paddedLength?: number;
  device: string;
  threads?: number;
  output: string;
  results: string;
}
const flags = new Command('npm run bench:tokens --')
  .description(
    'Makes every checkpoint drop tokens by every method, the checkpoint its own teacher, and prints the table of all results.',
  )
  .option('--checkpoints <names>', 'separated by commas, as all lists here', list, checkpoints)
  .option('--methods <names>', 'of `espalier tokens sweep`', list, [...sweepMethods])
  .option('--macs <ratios>', 'parts of the multiply-accumulates to keep', numbers, [0.5])
  .option('--seeds <numbers>', 'one run each', numbers, [0])
  .option('--soft-epochs <n>', 'passes over the data with soft masks', Number, 3)
  .option('--hard-epochs <n>', 'passes over the data while tokens are dropped', Number, 3)
  .option('--dropout <rate>', 'of both stages', Number, defaultRecipe.dropout)
  .option('--padded-length <n>', 'what importance is a mean over (default: as usual)', Number)
  .option('--device <name>', 'where it runs', 'cpu')
  .option('--threads <n>', '(default: all that there are)', Number)
  .option('--output <directory>', 'for a directory of each checkpoint and seed, where a stopped run goes on', 'tokens')
  .option('--results <file>', 'for a line of JSON for each result', 'tokens.jsonl')
  .parse()
  .opts<Flags>();

if (!hasShared) console.error('skipped: the models and data are absent (set ESPALIER_SHARED)');
else {
  for (const checkpoint of flags.checkpoints) {
    for (const seed of flags.seeds) await run(checkpoint, seed);
  }
  console.log(tokensTable(resultsSoFar()));
}

async function run(checkpoint: string, seed: number): Promise<void> {
  const { device, threads, methods, macs, dropout, paddedLength, softEpochs, hardEpochs } = flags;
  await using model = await loadModel(sharedPath('models', checkpoint), { threads, device });
  const task = taskFor(model, checkpoint);
  const dev = await developmentExamples(task);
  const { runs } = await tokensSweep(model, {
    task: task.name,
    train: await someTrainingExamples(model, task, dev),
    eval: dev,
    teacher: model,
    methods,
    macs,
    seed,
    thresholds: paddedLength === undefined ? {} : { paddedLength },
    soft: { epochs: softEpochs, dropout },
    hard: { epochs: hardEpochs, dropout },
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
      dropout,
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
