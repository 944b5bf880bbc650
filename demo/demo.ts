// Prunes the bundled model to half of its multiply-accumulates and shows what that costs and brings.
import { statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { table } from '../src/cli/table.js';
import { showProgress } from '../src/cli/terminal.js';
import { evaluate, type LoadedModel, loadModel, prune } from '../src/index.js';

const keep = 0.5;
const rounds = 9;
// Compiled, this file is dist/demo/demo.js.
const root = fileURLToPath(new URL('../..', import.meta.url));
const source = join(root, 'models/sentiment-mini');
const output = join(root, 'demo/pruned');
const examples = join(root, 'demo/eval.tsv');

const onProgress = showProgress(process.stderr, false);
console.log(`Pruning models/sentiment-mini to ${keep * 100} % of its multiply-accumulates ...\n`);
const dense = await loadModel(source);
const result = await prune(dense, { task: 'sst2', train: join(root, 'demo/train.tsv'), keep, onProgress });
await result.save(output, { force: true });
await result.dispose();

// From the disk again, as anyone would use it.
const pruned = await loadModel(output);
const before = await evaluate(dense, { task: 'sst2', examples });
const after = await evaluate(pruned, { task: 'sst2', examples });
const speed = await measureSpeed(dense, pruned);
await dense.dispose();
await pruned.dispose();

const sizes = [source, output].map((directory) => statSync(join(directory, 'model.safetensors')).size);
const units = (model: LoadedModel, unit: 'heads' | 'neurons') =>
  model.checkpoint.spec.layers.reduce((sum, layer) => sum + layer[unit], 0);
const row = (name: string, a: number, b: number, digits: number, change: string) => [
  name,
  a.toFixed(digits),
  b.toFixed(digits),
  change,
];
const share = (a: number, b: number) => `${((100 * b) / a).toFixed(0)} %`;
const [sizeBefore, sizeAfter] = sizes as [number, number];
const points = 100 * ((after.metrics.accuracy as number) - (before.metrics.accuracy as number));

console.log(
  `\n${table([
    ['', 'dense', 'pruned', ''],
    row(
      'accuracy',
      before.metrics.accuracy as number,
      after.metrics.accuracy as number,
      3,
      `${points < 0 ? '' : '+'}${points.toFixed(1)} points`,
    ),
    row(
      'attention heads',
      units(dense, 'heads'),
      units(pruned, 'heads'),
      0,
      share(units(dense, 'heads'), units(pruned, 'heads')),
    ),
    row(
      'neurons',
      units(dense, 'neurons'),
      units(pruned, 'neurons'),
      0,
      share(units(dense, 'neurons'), units(pruned, 'neurons')),
    ),
    row('file, MB', sizeBefore / 1e6, sizeAfter / 1e6, 2, share(sizeBefore, sizeAfter)),
    row('tokens/s', speed.dense, speed.pruned, 0, `${speed.ratio.toFixed(2)}x`),
  ])}\n`,
);
console.log(
  `${before.examples} sentences that the pruning did not see; speed: medians of ${rounds} alternating rounds.`,
);
console.log(`The smaller model is in ${relative(process.cwd(), output)}. Try it:`);
console.log(`  npx espalier predict ${relative(process.cwd(), output)} 'What a lovely surprise!'`);

/** Medians of alternating rounds, so that a busy moment of the machine hits both models alike. */
async function measureSpeed(first: LoadedModel, second: LoadedModel) {
  const speeds: { dense: number; pruned: number; ratio: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const [denseRun, prunedRun] = [
      await evaluate(first, { task: 'sst2', examples }),
      await evaluate(second, { task: 'sst2', examples }),
    ];
    const [a, b] = [denseRun.tokensPerSecond, prunedRun.tokensPerSecond];
    speeds.push({ dense: a, pruned: b, ratio: b / a });
  }
  const median = (key: 'dense' | 'pruned' | 'ratio') =>
    speeds.map((speed) => speed[key]).sort((a, b) => a - b)[rounds >> 1] as number;
  return { dense: median('dense'), pruned: median('pruned'), ratio: median('ratio') };
}
