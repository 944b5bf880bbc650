import { storedWeights } from '../src/api/stored-weights.js';
import { EngineRuntime } from '../src/contenders/engine.js';
import { OnnxRuntime } from '../src/contenders/onnxruntime.js';
import { type LoadedModel, loadModel, prune } from '../src/index.js';
import { hasShared, sharedPath } from '../test/support/paths.js';
import type { BenchContext, Benchmark, Row } from './support/benchmark.js';
import { ForwardRun } from './support/forward-run.js';
import { compareThroughput } from './support/throughput.js';
import { equalLengths, glueBatches, type Workload } from './support/workloads.js';

const KEEPS = [0.6, 0.5, 0.4];
/** Enough for realistic widths; accuracy is not measured here. */
const SAMPLES = 512;

export const onnxExport: Benchmark = {
  name: 'onnx-export',
  title: 'Exported minilm-mrpc in onnxruntime, pruned against dense: realised speed-up, and what the MACs promise',
  async run(context) {
    const mrpc = await glueBatches('mrpc', 'dev', 32, 4);
    if (!hasShared || mrpc === undefined) {
      context.log('skipped: the MRPC model and data are absent (set ESPALIER_SHARED)');
      return [];
    }
    await using model = await loadModel(sharedPath('models/minilm-mrpc'), { threads: context.threads });
    const workloads = [equalLengths(32, 128, model.checkpoint.spec.vocabularySize), mrpc];
    const rows: Row[] = [];
    for (const keep of context.quick ? KEEPS.slice(0, 1) : KEEPS) {
      rows.push(...(await runKeep(context, model, keep, workloads)));
    }
    return rows;
  },
};

async function runKeep(context: BenchContext, model: LoadedModel, keep: number, workloads: Workload[]): Promise<Row[]> {
  context.log(`keep ${keep}`);
  const train = sharedPath('data/glue/MRPC/train.tsv');
  await using result = await prune(model, { task: 'mrpc', train, keep, samples: SAMPLES });
  const promised = 1 / result.report.achieved.macs;
  await using smaller = await openExport(result.model);
  await using original = await openExport(model);
  const engine = new EngineRuntime('espalier', result.model.native);
  const rows: Row[] = [];
  for (const workload of workloads) {
    const pruned = await ForwardRun.prepare('pruned', smaller, workload);
    const dense = await ForwardRun.prepare('dense', original, workload);
    await pruned.verify(await ForwardRun.prepare('espalier', engine, workload));
    const row = await compareThroughput([pruned, dense], workload, context.rounds);
    rows.push({ keep, ...row, promised, 'realised / promised': (row['vs dense'] as number) / promised });
  }
  return rows;
}

/** The model as `exportOnnx` writes it. */
async function openExport({ native, checkpoint, threads }: LoadedModel): Promise<OnnxRuntime> {
  const weights = await storedWeights(native, checkpoint.dtype);
  return OnnxRuntime.open({ spec: native.spec, weights }, threads);
}
