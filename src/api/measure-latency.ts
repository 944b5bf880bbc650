import type { Example } from '../data/examples.js';
import type { BenchRow } from '../report/bench-report.js';
import type { MeasuredLatency } from '../report/prune-report.js';
import { bench } from './bench.js';
import type { DataOptions, WorkOptions } from './evaluate.js';
import type { LoadedModel } from './model.js';

const rounds = 3;

/** What 256 of the texts take in a pruned model and in the one it was made of, in turns. Throws as bench does. */
export async function measureLatency(
  pruned: LoadedModel,
  dense: LoadedModel,
  texts: readonly Example[],
  { task, columns, format, maxLength, signal, onProgress }: DataOptions & WorkOptions,
): Promise<MeasuredLatency> {
  const data = { task, columns, format, maxLength };
  const { rows, environment } = await bench(pruned, { ...data, against: dense, texts, rounds, signal, onProgress });
  const { batch, tokens, latency, against, speedup } = rows[0] as Required<BenchRow>;
  return { environment, batch, tokens, dense: against.latency, pruned: latency, speedup };
}
