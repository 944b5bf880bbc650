import { timed } from '../src/latency/rounds.js';
import { Engine } from '../src/native/engine.js';
import { Model } from '../src/native/model.js';
import { Training } from '../src/native/training.js';
import { defaultRecipe, type Recipe } from '../src/training/recipe.js';
import { type BenchContext, type Benchmark, type Row, verify } from './support/benchmark.js';
import { type BenchModel, bertBaseModel, miniLmModel } from './support/models.js';
import { PyTorchTraining } from './support/pytorch-training.js';
import { compareThroughput } from './support/throughput.js';
import { equalLengths, glueBatches, sequenceCount, type Workload } from './support/workloads.js';

/** Losses of the first steps agree to this part. */
const TOLERANCE = 1e-3;
const BATCH = 32;

export const training: Benchmark = {
  name: 'training',
  title:
    'Training steps of 32 sequences, AdamW and all; real tokens a second; PyTorch pads to the longest of the batch',
  async run(context) {
    const small = await miniLmModel('mrpc');
    if (context.quick) return runModel(context, small, 1);
    return [...(await runModel(context, small, 4)), ...(await runModel(context, bertBaseModel(), 1))];
  },
};

async function runModel(context: BenchContext, benchModel: BenchModel, batches: number): Promise<Row[]> {
  const { spec, weights, name } = benchModel;
  using model = await Model.create(Engine.open({ threads: context.threads }), spec, weights, 'inference');
  const rows: Row[] = [];
  const workloads = [equalLengths(BATCH, 128, spec.vocabularySize), await glueBatches('mrpc', 'train', BATCH, batches)];
  for (const workload of workloads.filter((workload) => workload !== undefined)) {
    context.log(`${name}: ${workload.name}`);
    rows.push({ model: name, ...(await runWorkload(context, workload, model, benchModel)) });
  }
  return rows;
}

async function runWorkload(
  { rounds, python, threads }: BenchContext,
  workload: Workload,
  model: Model,
  benchModel: BenchModel,
): Promise<Row> {
  await using pytorch = python ? await PyTorchTraining.open(python, benchModel, threads) : undefined;
  if (pytorch) {
    const exact = { ...defaultRecipe, dropout: 0 };
    const { losses } = await (await pytorch.prepare(workload, exact))();
    const ours = await (await espalierSteps(model, workload, exact))();
    verify('losses of PyTorch and espalier', Float32Array.from(ours), losses, TOLERANCE);
  }
  const contenders = [timed('espalier', await espalierSteps(model, workload, defaultRecipe))];
  const theirs = await pytorch?.prepare(workload, defaultRecipe);
  if (theirs) contenders.push({ name: 'PyTorch', run: async () => (await theirs()).seconds });
  return await compareThroughput(contenders, workload, rounds);
}

/** One step a batch; the mean losses before each. */
async function espalierSteps(
  model: Model,
  { batches, labels }: Workload,
  { dropout, learningRate, weightDecay, maxGradientNorm }: Recipe,
): Promise<() => Promise<number[]>> {
  const training = await Training.start(model);
  return async () => {
    const losses: number[] = [];
    for (const [index, batch] of batches.entries()) {
      const count = sequenceCount(batch);
      const own = labels[index] as Int32Array;
      const result = await training.accumulate(batch.packed, own, 'crossEntropy', { dropout, seed: index });
      losses.push(result.losses.reduce((sum, loss) => sum + loss, 0) / count);
      await training.step({ learningRate, weightDecay, maxGradientNorm, gradientScale: 1 / count });
    }
    return losses;
  };
}
