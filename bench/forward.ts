import { timed } from '../src/latency/rounds.js';
import { Engine } from '../src/native/engine.js';
import { Model } from '../src/native/model.js';
import { type BenchContext, type Benchmark, type Row, verify } from './support/benchmark.js';
import { type BenchModel, bertBaseModel, miniLmModel } from './support/models.js';
import { OnnxRuntime } from './support/onnxruntime.js';
import { compareThroughput } from './support/throughput.js';
import { equalLengths, glueBatches, type Workload } from './support/workloads.js';

/** Contenders agree to this part of the largest logit. */
const TOLERANCE = 1e-3;

export const forward: Benchmark = {
  name: 'forward',
  title: 'Forward, real tokens a second; contenders pad to the longest of the batch',
  async run(context) {
    const small = await miniLmModel('sst2');
    if (context.quick) return runModel(context, small, 8);
    return [...(await runModel(context, small, 1)), ...(await runModel(context, bertBaseModel(), 8))];
  },
};

/** `cost`: how much longer than MiniLM the model takes; it gets so many times fewer sequences. */
async function runModel(context: BenchContext, benchModel: BenchModel, cost: number): Promise<Row[]> {
  const { spec, weights } = benchModel;
  const workloads = [
    equalLengths(Math.max(32, 128 / cost), 128, spec.vocabularySize),
    await glueBatches('sst2', 'dev', 32, 24 / cost),
    await glueBatches('sst2', 'dev', 256, 3, cost),
    await glueBatches('mrpc', 'dev', 32, 8 / cost),
    await glueBatches('mrpc', 'dev', 256, 1, cost),
  ].filter((workload) => workload !== undefined);

  using model = await Model.create(Engine.open({ threads: context.threads }), spec, weights, 'inference');
  const onnxruntime = await OnnxRuntime.open(benchModel, context.threads);
  await context.pytorch?.load(benchModel);
  const rows: Row[] = [];
  for (const workload of workloads) {
    context.log(`${benchModel.name}: ${workload.name}`);
    rows.push(await runWorkload(context, benchModel.name, workload, model, onnxruntime));
  }
  await onnxruntime.release();
  return rows;
}

async function runWorkload(
  { rounds, pytorch }: BenchContext,
  name: string,
  workload: Workload,
  model: Model,
  onnxruntime: OnnxRuntime,
): Promise<Row> {
  const padded = onnxruntime.prepare(workload);
  const packed = async () => {
    const logits: number[] = [];
    for (const batch of workload.batches) logits.push(...(await model.forward(batch.packed)));
    return logits;
  };
  const expected = await packed();
  verify('onnxruntime and espalier', await padded(), expected, TOLERANCE);
  const contenders = [timed('espalier', packed), timed('onnxruntime', padded)];
  if (pytorch) {
    await pytorch.prepare(workload);
    verify('PyTorch and espalier', (await pytorch.forward()).logits, expected, TOLERANCE);
    contenders.push({ name: 'PyTorch', run: async () => (await pytorch.forward()).seconds });
  }
  return { model: name, ...(await compareThroughput(contenders, workload, rounds)) };
}
