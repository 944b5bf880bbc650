import { checkAgreement } from '../contenders/agreement.js';
import { EngineRuntime } from '../contenders/engine.js';
import { OnnxRuntime } from '../contenders/onnxruntime.js';
import { PyTorchRuntime } from '../contenders/pytorch.js';
import type { PreparedBatch, Runtime } from '../contenders/runtime.js';
import type { Example } from '../data/examples.js';
import { packSequences } from '../data/pack.js';
import { randomBatch } from '../latency/measure.js';
import { interleave, latencyOf, ratios, spreadOf } from '../latency/rounds.js';
import type { PackedBatch } from '../native/addon.js';
import { throwIfAborted } from '../native/cancel.js';
import { environmentOf } from '../native/environment.js';
import { EspalierError } from '../native/errors.js';
import type { BenchReport, BenchRow, Speed } from '../report/bench-report.js';
import { deviceMemory } from '../report/device-memory.js';
import { version } from '../version.js';
import { checkCount } from './check-count.js';
import type { DataOptions, WorkOptions } from './evaluate.js';
import type { LoadedModel } from './model.js';
import { lengthsOf, sequencesOf, textsFrom } from './profile.js';
import { storedWeights } from './stored-weights.js';

/**
 * `onnxruntime` runs the graph that `exportOnnx` writes, by the package onnxruntime-node, which has to be installed
 * beside espalier. `pytorch` runs what transformers makes of the model's directory, its own Python code included: a model
 * that was just pruned has to be saved and loaded first.
 */
export type OtherRuntime = (typeof otherRuntimes)[number];
export const otherRuntimes = ['onnxruntime', 'pytorch'] as const;

export interface BenchOptions extends DataOptions, WorkOptions {
  /**
   * Another model, or another runtime of this model on as many threads, on the same inputs in turns. Other runtimes pad to
   * the longest sequence of the batch.
   */
  against?: LoadedModel | OtherRuntime | undefined;
  /** A Python that has torch and transformers, for `pytorch`; `python3` by default. */
  python?: string | undefined;
  /** Sequences that are run together; several sizes one after another. 256 by default. */
  batches?: readonly number[] | undefined;
  /** Tokens of every sequence, where no texts are given; several one after another. 128 by default. */
  lengths?: readonly number[] | undefined;
  /** A data file, or examples, whose sequences are computed instead. */
  texts?: string | readonly Example[] | undefined;
  /** Times that every batch is run; 9 by default. */
  rounds?: number | undefined;
}

/**
 * Throughput and latency of a model, by itself or against another model or runtime. All compute the same inputs once
 * before their time is taken, when another runtime has to give the model's logits, and then take turns.
 *
 * @throws EspalierError ERR_OPTION, also where the other runtime is not installed or fails, ERR_INTERNAL where it computes
 * something else, ERR_TASK, ERR_DATA, ERR_NON_FINITE, ERR_UNSUPPORTED, ERR_OUT_OF_MEMORY, ERR_CANCELLED
 */
export async function bench(model: LoadedModel, options: BenchOptions = {}): Promise<BenchReport> {
  const { against, rounds = 9, signal, onProgress } = options;
  checkCount('rounds', rounds);
  checkOpponent(model, options);
  const cases = await casesOf(model, options);
  await using own = new EngineRuntime(model.checkpoint.directory, model.native, { signal });
  await using opponent = await openOpponent(model, options);
  // A first turn of each warms up.
  const total = cases.length * (opponent === undefined ? 1 : 2) * (rounds + 1);
  let done = 0;
  const counted = ({ run }: PreparedBatch) => ({
    run: async () => {
      throwIfAborted(signal);
      const seconds = await run();
      onProgress?.({ stage: 'bench', done: ++done, total });
      return seconds;
    },
  });
  const rows: BenchRow[] = [];
  for (const { packed, ...shape } of cases) {
    const ours = await own.prepare(packed);
    const theirs = await opponent?.prepare(packed);
    const works = theirs === undefined ? [ours] : [ours, theirs];
    const [ownSeconds = [], otherSeconds] = await interleave(works.map(counted), rounds, async () => {
      // Another model's logits are its own.
      if (typeof against === 'object' || opponent === undefined || theirs === undefined) return;
      checkAgreement(opponent.name, await theirs.logits(), await ours.logits());
    });
    const tokens = packed.ids.length;
    rows.push({
      ...shape,
      tokens,
      ...(theirs?.paddedTokens !== undefined && { paddedTokens: theirs.paddedTokens }),
      ...speedOf(ownSeconds, tokens),
      ...(otherSeconds && {
        against: speedOf(otherSeconds, tokens),
        speedup: spreadOf(ratios(otherSeconds, ownSeconds)),
      }),
    });
  }
  const { device, threads, precision } = model;
  const environment = environmentOf(model.native.engine);
  const name = opponent && { against: opponent.name };
  const memory = deviceMemory(model.native.engine);
  return { command: 'bench', version, device, threads, precision, environment, ...name, rounds, rows, ...memory };
}

function checkOpponent({ device, threads }: LoadedModel, { against, python }: BenchOptions): void {
  if (python !== undefined && against !== 'pytorch') {
    throw new EspalierError('ERR_OPTION', 'a Python is of use for PyTorch only (give --against pytorch too)');
  }
  if (typeof against === 'object' && (against.device !== device || against.threads !== threads)) {
    throw new EspalierError('ERR_OPTION', 'the two models compute on different devices or threads (load them alike)');
  }
  if (typeof against === 'string' && device !== 'cpu') {
    throw new EspalierError('ERR_OPTION', `${against} computes on the CPU, the model on ${device} (give --device cpu)`);
  }
}

interface Case {
  batch: number;
  length?: number;
  packed: PackedBatch;
}

async function casesOf(model: LoadedModel, options: BenchOptions): Promise<Case[]> {
  const { against, batches = [256], lengths = [128] } = options;
  // Once for all batch sizes: standard input can be read no more often.
  const texts = options.texts && (await textsFrom(model, options.texts, options));
  const models = typeof against === 'object' ? [model, against] : [model];
  const vocabularySize = Math.min(...models.map(({ checkpoint }) => checkpoint.spec.vocabularySize));
  const cases: Case[] = [];
  for (const batch of batches) {
    for (const length of texts === undefined ? lengths : [undefined]) {
      const packed =
        texts === undefined
          ? randomBatch({ vocabularySize }, await lengthsOf(model, { ...options, batch, length }))
          : withinVocabulary(packSequences(await sequencesOf(model, texts, { ...options, batch })), vocabularySize);
      cases.push({ batch, ...(length !== undefined && { length }), packed });
    }
  }
  return cases;
}

/** Another model may not know all of a text's tokens; those it would refuse become one that it knows. */
const withinVocabulary = ({ ids, ...batch }: PackedBatch, size: number): PackedBatch => ({
  ...batch,
  ids: ids.map((id) => Math.min(id, size - 1)),
});

async function openOpponent(model: LoadedModel, options: BenchOptions): Promise<Runtime | undefined> {
  const { against, python = 'python3', signal } = options;
  const { checkpoint, native, threads } = model;
  if (against === 'onnxruntime') {
    const weights = await storedWeights(native, checkpoint.dtype, signal);
    return OnnxRuntime.open({ spec: native.spec, weights }, threads);
  }
  if (against === 'pytorch') return PyTorchRuntime.open(checkpoint, threads, { python, signal });
  return against && new EngineRuntime(against.checkpoint.directory, against.native, { signal });
}

function speedOf(seconds: readonly number[], tokens: number): Speed {
  const latency = latencyOf(seconds);
  return { tokensPerSecond: tokens / latency.median, latency };
}
