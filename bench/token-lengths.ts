import { type Example, evaluate, type LoadedModel, loadModel } from '../src/index.js';
import { sweepMethods } from '../src/tokens/methods.js';
import { hasShared, sharedPath } from '../test/support/paths.js';
import type { Benchmark, Row } from './support/benchmark.js';
import { dropTokensBy } from './support/drop-tokens.js';
import { developmentExamples, lengthIn, taskFor, trainingExamples } from './support/shared-checkpoints.js';

const CHECKPOINT = 'distil-qnli';
const MACS = 0.5;

export const tokenLengths: Benchmark = {
  name: 'token-lengths',
  title: `${CHECKPOINT} made to drop tokens on the shortest and on the longest quarter of QNLI's training data, to ${MACS} of the MACs there, on either quarter of dev`,
  async run(context) {
    if (!hasShared) {
      context.log('skipped: the models and data are absent (set ESPALIER_SHARED)');
      return [];
    }
    await using model = await loadModel(sharedPath('models', CHECKPOINT), { threads: context.threads });
    const task = taskFor(model, CHECKPOINT);
    const train = quarters(await trainingExamples(task), lengthIn(model, task));
    const dev = quarters(await developmentExamples(task), lengthIn(model, task));
    const rows: Row[] = [await measured({ learnt: 'nowhere', method: 'dense' }, model, task.name, dev)];
    for (const learnt of ['shortest', 'longest'] as const) {
      for (const method of context.quick ? (['calibrated'] as const) : sweepMethods) {
        context.log(`${learnt}: ${method}`);
        await using made = await dropTokensBy(method, model, { task: task.name, train: train[learnt], macs: MACS });
        rows.push(await measured({ learnt, method }, made.model, task.name, dev));
      }
    }
    return rows;
  },
};

type Quarters = Record<'shortest' | 'longest', Example[]>;

function quarters(examples: readonly Example[], length: (example: Example) => number): Quarters {
  const sorted = examples
    .map((example) => ({ example, length: length(example) }))
    .sort((a, b) => a.length - b.length)
    .map(({ example }) => example);
  const quarter = Math.floor(sorted.length / 4);
  return { shortest: sorted.slice(0, quarter), longest: sorted.slice(-quarter) };
}

/** Accuracy and multiply-accumulates on either quarter. */
async function measured(row: Row, model: LoadedModel, task: string, dev: Quarters): Promise<Row> {
  for (const [name, examples] of Object.entries(dev)) {
    const { metrics, dropping } = await evaluate(model, { task, examples });
    row[`${name}: MACs`] = dropping?.macs ?? 1;
    row[`${name}: accuracy`] = 100 * (metrics.accuracy as number);
  }
  return row;
}
