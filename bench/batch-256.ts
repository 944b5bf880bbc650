import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storedWeights } from '../src/api/stored-weights.js';
import { EngineRuntime } from '../src/contenders/engine.js';
import { OnnxRuntime } from '../src/contenders/onnxruntime.js';
import { PyTorchRuntime } from '../src/contenders/pytorch.js';
import { type LoadedModel, loadModel, prune } from '../src/index.js';
import { interleave, ratios, spreadOf } from '../src/latency/rounds.js';
import { hasShared, sharedPath } from '../test/support/paths.js';
import type { BenchContext, Benchmark, Row } from './support/benchmark.js';
import { ForwardRun, type PaddingRuntime } from './support/forward-run.js';
import { glueBatches, realTokens, type Workload } from './support/workloads.js';

const KEEP = 0.5;
/** What stands in every tutorial. */
const PADDED_TO = 128;

export const batch256: Benchmark = {
  name: 'batch-256',
  title: `Dense and pruned to ${KEEP} of the MACs at batch 256: what packing brings, what pruning brings, and both`,
  async run(context) {
    const rows: Row[] = [];
    for (const task of context.quick ? (['mrpc'] as const) : (['mrpc', 'sst2'] as const)) {
      const workload = await glueBatches(task, 'dev', 256, 1);
      if (!hasShared || workload === undefined) {
        context.log('skipped: the models and data are absent (set ESPALIER_SHARED)');
        return [];
      }
      rows.push(...(await runTask(context, task, workload)));
    }
    return rows;
  },
};

async function runTask(context: BenchContext, task: 'mrpc' | 'sst2', workload: Workload): Promise<Row[]> {
  const name = `minilm-${task}`;
  context.log(`${name}: prune`);
  await using dense = await loadModel(sharedPath('models', name), { threads: context.threads });
  const data = (split: string) => sharedPath('data/glue', { mrpc: 'MRPC', sst2: 'SST-2' }[task], `${split}.tsv`);
  const samples = context.quick ? 64 : 2048;
  await using result = await prune(dense, { task, train: data('train'), eval: data('dev'), keep: KEEP, samples });
  const directory = await mkdtemp(join(tmpdir(), 'espalier-bench-'));
  try {
    await result.save(directory, { force: true });
    await using pruned = await loadModel(directory, { threads: context.threads });
    context.log(`${name}: ${workload.name}`);
    const accuracy = { dense: result.report.dense?.accuracy ?? 0, pruned: result.report.pruned?.accuracy ?? 0 };
    return await compare(context, { dense, pruned }, workload, accuracy);
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** The two models with their figures by name. */
type Both<T> = Record<'dense' | 'pruned', T>;

/** Seconds of the batch in every runtime, and how many times as long as the pruned model in the engine that is. */
async function compare(
  { rounds, python, threads }: BenchContext,
  models: Both<LoadedModel>,
  workload: Workload,
  accuracy: Both<number>,
): Promise<Row[]> {
  const padded = { ...workload, batches: workload.batches.map((batch) => ({ ...batch, longest: PADDED_TO })) };
  const runs: { runtime: string; width: string; model: keyof Both<LoadedModel>; run: ForwardRun }[] = [];
  const opened: AsyncDisposable[] = [];
  let seconds: number[][];
  try {
    for (const model of ['pruned', 'dense'] as const) {
      const { checkpoint, native } = models[model];
      const espalier = await ForwardRun.prepare(`espalier, ${model}`, new EngineRuntime('espalier', native), workload);
      runs.push({ runtime: 'espalier', width: 'none', model, run: espalier });
      const weights = await storedWeights(native, checkpoint.dtype);
      const runtimes: [string, AsyncDisposable & PaddingRuntime][] = [
        ['onnxruntime', await OnnxRuntime.open({ spec: native.spec, weights }, threads)],
      ];
      if (python) runtimes.push(['PyTorch', await PyTorchRuntime.open(checkpoint, threads, { python })]);
      for (const [runtime, contender] of runtimes) {
        opened.push(contender);
        for (const [width, work] of [['longest', workload] as const, [String(PADDED_TO), padded] as const]) {
          const run = await ForwardRun.prepare(`${runtime}, ${model}`, contender, work);
          await run.verify(espalier);
          runs.push({ runtime, width, model, run });
        }
      }
    }
    seconds = await interleave(
      runs.map(({ run }) => run),
      rounds,
    );
  } finally {
    for (const contender of opened) await contender[Symbol.asyncDispose]();
  }
  return runs.map(({ runtime, width, model }, index) => {
    const own = seconds[index] as number[];
    const { median, lowest, highest } = spreadOf(own);
    return {
      workload: workload.name,
      runtime,
      'padded to': width,
      model,
      accuracy: accuracy[model],
      ms: 1000 * median,
      range: `${(1000 * lowest).toFixed(0)}-${(1000 * highest).toFixed(0)}`,
      'tokens/s': realTokens(workload) / median,
      'times as long': spreadOf(ratios(own, seconds[0] as number[])).median,
    };
  });
}
