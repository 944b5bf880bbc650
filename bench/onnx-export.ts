import { storedWeights } from '../src/api/stored-weights.js';
import { type LoadedModel, loadModel, prune } from '../src/index.js';
import { timed } from '../src/latency/rounds.js';
import { hasShared, sharedPath } from '../test/support/paths.js';
import { type BenchContext, type Benchmark, type Row, verify } from './support/benchmark.js';
import { OnnxRuntime } from './support/onnxruntime.js';
import { compareThroughput } from './support/throughput.js';
import { equalLengths, glueBatches, type Workload } from './support/workloads.js';

const KEEPS = [0.6, 0.5, 0.4];
/** Enough for realistic widths; accuracy is not measured here. */
const SAMPLES = 512;
/** onnxruntime and the engine agree to this part of the largest logit. */
const TOLERANCE = 1e-3;

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
  const sessions = [await openExport(result.model, context.threads), await openExport(model, context.threads)];
  const rows: Row[] = [];
  for (const workload of workloads) {
    const [pruned, dense] = sessions.map((session) => session.prepare(workload)) as [Run, Run];
    verify('onnxruntime and espalier', await pruned(), await engineLogits(result.model, workload), TOLERANCE);
    const contenders = [timed('pruned', pruned), timed('dense', dense)];
    const row = await compareThroughput(contenders, workload, context.rounds);
    rows.push({ keep, ...row, promised, 'realised / promised': (row['vs dense'] as number) / promised });
  }
  for (const session of sessions) await session.release();
  return rows;
}

type Run = () => Promise<Float32Array>;

/** The model as `exportOnnx` writes it. */
async function openExport({ native, checkpoint }: LoadedModel, threads: number): Promise<OnnxRuntime> {
  const weights = await storedWeights(native, checkpoint.dtype);
  return OnnxRuntime.open({ name: checkpoint.directory, spec: native.spec, weights }, threads);
}

async function engineLogits({ native }: LoadedModel, { batches }: Workload): Promise<number[]> {
  const logits: number[] = [];
  for (const { packed } of batches) logits.push(...(await native.forward(packed)));
  return logits;
}
