import { timed } from '../src/latency/rounds.js';
import { Engine } from '../src/native/engine.js';
import { Model } from '../src/native/model.js';
import type { Calibration } from '../src/prune/fisher.js';
import { type BenchContext, type Benchmark, type Row, verify } from './support/benchmark.js';
import { joined } from './support/join-batches.js';
import { type BenchModel, bertBaseModel, miniLmModel } from './support/models.js';
import { PyTorchGradients } from './support/pytorch-gradients.js';
import { compareThroughput } from './support/throughput.js';
import { equalLengths, glueBatches, type Workload } from './support/workloads.js';

/** Contenders agree to this part of the largest gradient. */
const TOLERANCE = 1e-3;
const BATCH = 32;

export const maskGradients: Benchmark = {
  name: 'mask-gradients',
  title: 'Mask gradients of mini-batches of 32, real tokens a second; PyTorch pads to the longest of the batch',
  async run(context) {
    const small = await miniLmModel('mrpc');
    if (context.quick) return runModel(context, small, 1);
    return [...(await runModel(context, small, 4)), ...(await runModel(context, bertBaseModel(), 1))];
  },
};

async function runModel(context: BenchContext, benchModel: BenchModel, batches: number): Promise<Row[]> {
  const { spec, weights, name } = benchModel;
  using model = await Model.create(Engine.open({ threads: context.threads }), spec, weights, 'gradients');
  await using pytorch = context.python
    ? await PyTorchGradients.open(context.python, benchModel, context.threads)
    : undefined;
  const rows: Row[] = [];
  const workloads = [equalLengths(BATCH, 128, spec.vocabularySize), await glueBatches('mrpc', 'train', BATCH, batches)];
  for (const workload of workloads.filter((workload) => workload !== undefined)) {
    context.log(`${name}: ${workload.name}`);
    rows.push({ model: name, ...(await runWorkload(context, workload, model, pytorch)) });
  }
  return rows;
}

async function runWorkload(
  { rounds }: BenchContext,
  workload: Workload,
  model: Model,
  pytorch: PyTorchGradients | undefined,
): Promise<Row> {
  const { batch, labels } = join(workload);
  const groups = Int32Array.from(labels, (_, sample) => Math.floor(sample / BATCH));
  const gradients = () => model.maskGradients(batch, labels, 'crossEntropy', groups);
  const contenders = [timed('espalier', gradients)];
  if (pytorch) {
    const theirs = await pytorch.prepare(workload);
    const expected = await theirs();
    const { heads, neurons } = await gradients();
    // PyTorch differentiates the mean loss of a mini-batch, espalier sums over its samples.
    const means = (sums: Float32Array) => sums.map((sum) => sum / BATCH);
    verify('head gradients of PyTorch and espalier', means(heads), expected.heads, TOLERANCE);
    verify('neuron gradients of PyTorch and espalier', means(neurons), expected.neurons, TOLERANCE);
    contenders.push({ name: 'PyTorch', run: async () => (await theirs()).seconds });
  }
  return compareThroughput(contenders, workload, rounds);
}

/** All batches as one, which is how calibration samples come. */
const join = ({ batches, labels }: Workload): Calibration => ({
  batch: joined(batches.map(({ packed }) => packed)),
  labels: Int32Array.from(labels.flatMap((part) => [...part])),
});
