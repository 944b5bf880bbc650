import type { Example } from '../data/examples.js';
import type { BenchRow } from '../report/bench-report.js';
import type { MeasuredLatency } from '../report/prune-report.js';
import { bench } from './bench.js';
import { type DataOptions, readingOf, type WorkOptions } from './evaluate.js';
import { type LoadedModel, loadModel } from './model.js';

const rounds = 3;

/** What 256 of the texts take in a pruned model and in the one it was made of, in turns. Throws as bench does. */
export async function measureLatency(
  pruned: LoadedModel,
  dense: LoadedModel,
  texts: readonly Example[],
  options: DataOptions & WorkOptions,
): Promise<MeasuredLatency> {
  const { task, signal, onProgress } = options;
  const data = { ...readingOf(options), task };
  const { rows, environment } = await bench(pruned, { ...data, against: dense, texts, rounds, signal, onProgress });
  const { batch, tokens, latency, against, speedup } = rows[0] as Required<BenchRow>;
  return { environment, batch, tokens, dense: against.latency, pruned: latency, speedup };
}

/** The same of a checkpoint, on the device of the model it was made of. Throws as loadModel and bench do. */
export async function measureCheckpoint(
  directory: string,
  dense: LoadedModel,
  texts: readonly Example[],
  options: DataOptions & WorkOptions,
): Promise<MeasuredLatency> {
  const { device, threads, precision } = dense;
  await using made = await loadModel(directory, { device, threads, precision, signal: options.signal });
  return await measureLatency(made, dense, texts, options);
}
