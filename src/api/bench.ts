import type { Example } from '../data/examples.js';
import { randomBatch } from '../latency/measure.js';
import { interleave, type Latency, latencyOf, ratios, type Spread, spreadOf, timed } from '../latency/rounds.js';
import { EspalierError } from '../native/errors.js';
import { version } from '../version.js';
import type { DataOptions, WorkOptions } from './evaluate.js';
import type { LoadedModel } from './model.js';
import { lengthsOf, textsFrom } from './profile.js';

export interface BenchOptions extends DataOptions, WorkOptions {
  /** Another model, on the same inputs in turns. */
  against?: LoadedModel | undefined;
  /** Sequences that are run together; several sizes one after another. 256 by default. */
  batches?: readonly number[] | undefined;
  /** Tokens of every sequence, where no texts are given; several one after another. 128 by default. */
  lengths?: readonly number[] | undefined;
  /** A data file, or examples, whose lengths the sequences have instead. */
  texts?: string | readonly Example[] | undefined;
  /** Times that every batch is run; 9 by default. */
  rounds?: number | undefined;
}

export interface Speed {
  tokensPerSecond: number;
  latency: Latency;
}

export interface BenchRow extends Speed {
  batch: number;
  /** Of every sequence; absent where the texts say it. */
  length?: number;
  tokens: number;
  /** The other model, and how many times as long as this one it takes: round by round. */
  against?: Speed;
  speedup?: Spread;
}

export interface BenchReport {
  command: 'bench';
  version: string;
  device: string;
  threads: number;
  rounds: number;
  rows: BenchRow[];
}

/**
 * Throughput and latency of a model, by itself or against another. Both compute the same inputs once before their time is
 * taken, and then take turns.
 *
 * @throws EspalierError ERR_OPTION, ERR_TASK, ERR_DATA, ERR_NON_FINITE, ERR_OUT_OF_MEMORY, ERR_CANCELLED
 */
export async function bench(model: LoadedModel, options: BenchOptions = {}): Promise<BenchReport> {
  const { against, batches = [256], lengths = [128], rounds = 9, signal, onProgress } = options;
  if (against !== undefined && (against.device !== model.device || against.threads !== model.threads)) {
    throw new EspalierError('ERR_OPTION', 'the two models compute on different devices or threads (load them alike)');
  }
  const models = against === undefined ? [model] : [model, against];
  // Once for all batch sizes: standard input can be read no more often.
  const texts = options.texts && (await textsFrom(model, options.texts, options));
  const cases = batches.flatMap((batch) =>
    (texts === undefined ? lengths : [undefined]).map((length) => ({ batch, length })),
  );
  // A first turn of each warms up.
  const total = cases.length * models.length * (rounds + 1);
  let done = 0;
  const vocabularySize = Math.min(...models.map(({ checkpoint }) => checkpoint.spec.vocabularySize));
  const rows: BenchRow[] = [];
  for (const { batch, length } of cases) {
    const packed = randomBatch({ vocabularySize }, await lengthsOf(model, { ...options, texts, batch, length }));
    const contenders = models.map(({ native }) =>
      timed('model', async () => {
        await native.forward(packed, { signal });
        onProgress?.({ stage: 'bench', done: ++done, total });
      }),
    );
    const [own, other] = await interleave(contenders, rounds);
    const tokens = packed.ids.length;
    rows.push({
      batch,
      ...(length !== undefined && { length }),
      tokens,
      ...speedOf(own as number[], tokens),
      ...(other && { against: speedOf(other, tokens), speedup: spreadOf(ratios(other, own as number[])) }),
    });
  }
  return { command: 'bench', version, device: model.device, threads: model.threads, rounds, rows };
}

function speedOf(seconds: readonly number[], tokens: number): Speed {
  const latency = latencyOf(seconds);
  return { tokensPerSecond: tokens / latency.median, latency };
}
