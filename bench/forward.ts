import { EngineRuntime } from '../src/contenders/engine.js';
import { OnnxRuntime } from '../src/contenders/onnxruntime.js';
import { PyTorchRuntime } from '../src/contenders/pytorch.js';
import { Engine } from '../src/native/engine.js';
import { Model } from '../src/native/model.js';
import type { BenchContext, Benchmark, Row } from './support/benchmark.js';
import { ForwardRun } from './support/forward-run.js';
import { withDirectory } from './support/model-directory.js';
import { type BenchModel, bertBaseModel, miniLmModel } from './support/models.js';
import { compareThroughput } from './support/throughput.js';
import { equalLengths, glueBatches } from './support/workloads.js';

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
  const engine = new EngineRuntime('espalier', model);
  await using onnxruntime = await OnnxRuntime.open(benchModel, context.threads);
  await using pytorch = await openPyTorch(benchModel, context);
  const rows: Row[] = [];
  for (const workload of workloads) {
    context.log(`${benchModel.name}: ${workload.name}`);
    const espalier = await ForwardRun.prepare('espalier', engine, workload);
    const others = [await ForwardRun.prepare('onnxruntime', onnxruntime, workload)];
    if (pytorch) others.push(await ForwardRun.prepare('PyTorch', pytorch, workload));
    for (const other of others) await other.verify(espalier);
    const row = await compareThroughput([espalier, ...others], workload, context.rounds);
    rows.push({ model: benchModel.name, ...row });
  }
  return rows;
}

async function openPyTorch(model: BenchModel, { python, threads }: BenchContext): Promise<PyTorchRuntime | undefined> {
  if (python === undefined) return undefined;
  const { spec } = model;
  return withDirectory(model, (directory) => PyTorchRuntime.open({ directory, spec }, threads, { python }));
}
