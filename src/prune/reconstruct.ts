import type { PackedBatch, ProjectionFit, Sublayer, SublayerStatistics, TokenPruning } from '../native/addon.js';
import type { CallOptions } from '../native/call.js';
import type { Engine } from '../native/engine.js';
import type { HiddenStates } from '../native/hidden-states.js';
import type { Model } from '../native/model.js';
import { bestRidge, composeProjection, solveProjection } from '../native/solver.js';
import { holdOut } from './sequences.js';
import { floats, identity, inputProjections, outputProjection } from './weights.js';

export interface ReconstructOptions extends CallOptions {
  /** Projections to leave as they are. */
  without?: readonly string[] | undefined;
  /** The student's tokens are dropped by it, and only those that go on count; none are by default. */
  pruning?: TokenPruning | undefined;
  /** How often a sequence's first token counts; once by default. */
  firstTokenWeight?: number | undefined;
  /** Of a least-squares system, as parts of the mean of its inputs' variances: what is chosen from. */
  ridges?: readonly number[] | undefined;
  onSublayers?: ((done: number, total: number) => void) | undefined;
}

const usualRidges = [1e-2, 3e-2, 1e-1, 3e-1];
/** For fewer samples than can be split. */
const cautiousRidge = 1e-1;
/** One sequence in so many is held out while the ridge of a system is chosen. */
const heldOutStep = 5;

/**
 * Makes up for removed units or dropped tokens, sub-layer by sub-layer on what the earlier ones, made up for already,
 * hand it: first its input projections are solved anew, so that from the displaced inputs they compute what the dense
 * model's compute from theirs, then its output projection with its bias, so that the sum before the LayerNorm comes
 * close to the dense model's. A sub-layer that has lost every unit becomes a bias.
 *
 * Kwon et al. 2022 (section 4.3) fit one scale a unit to a pruned teacher instead.
 */
export async function reconstruct(
  student: Model,
  dense: Model,
  batch: PackedBatch,
  { without, ridges = usualRidges, signal, onSublayers, ...counted }: ReconstructOptions = {},
): Promise<void> {
  const parts: Pair[] = [];
  try {
    for (const part of holdOut(batch, heldOutStep))
      parts.push(await embedBoth(student, dense, part, { ...counted, signal }));
    const each = <T>(work: (pair: Pair) => Promise<T>): Promise<T[]> => inTurn(parts, work);
    const total = 2 * student.spec.layers.length;
    let done = 0;
    for (const [layer, { heads, neurons }] of student.spec.layers.entries()) {
      for (const [sublayer, units] of [['attention', heads] as const, ['ffn', neurons] as const]) {
        // The first layer's attention sees what the dense model's does.
        if (units > 0 && (layer > 0 || sublayer === 'ffn') && !without?.includes('inputs')) {
          await solveInputs(
            student,
            layer,
            sublayer,
            await each((pair) => pair.student.collectDrift(pair.dense, { signal })),
            ridges,
          );
        }
        if (without?.includes('outputs')) {
          await each((pair) => pair.dense.advance(layer, sublayer, { signal }));
        } else {
          const statistics = await each((pair) => pair.student.collect(pair.dense, layer, sublayer, { signal }));
          await solveOutput(student, layer, sublayer, statistics, ridges);
        }
        await each((pair) => pair.student.advance(layer, sublayer, { signal }));
        done++;
        onSublayers?.(done, total);
      }
    }
  } finally {
    for (const pair of parts) for (const states of Object.values(pair)) states.dispose();
  }
}

/** The hidden states of student and dense model on the same samples. */
type Pair = Record<'student' | 'dense', HiddenStates>;

async function embedBoth(
  student: Model,
  dense: Model,
  batch: PackedBatch,
  options: Pick<ReconstructOptions, 'pruning' | 'firstTokenWeight' | 'signal'>,
): Promise<Pair> {
  return {
    student: await student.embed(batch, { ...options, everyToken: true }),
    dense: await dense.embed(batch, { everyToken: true, signal: options.signal }),
  };
}

/** One after another: each keeps all threads busy. */
async function inTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}

/**
 * The best affine guess of the dense model's hidden states from the student's, composed with each input projection. That
 * is the least-squares solution for the projections themselves.
 */
async function solveInputs(
  student: Model,
  layer: number,
  sublayer: Sublayer,
  drifts: readonly SublayerStatistics[],
  ridges: readonly number[],
): Promise<void> {
  const { engine } = student;
  const guess = await solve(drifts, identity(student.spec.hiddenSize), ridges, engine);
  const fits: Record<string, ProjectionFit> = {};
  for (const role of inputProjections(layer, sublayer)) {
    const weight = floats(await student.weight(`${role}.weight`, 'f32'));
    fits[role] = await composeProjection(weight, guess, engine);
  }
  await replaceProjections(student, fits);
}

async function solveOutput(
  student: Model,
  layer: number,
  sublayer: Sublayer,
  statistics: readonly SublayerStatistics[],
  ridges: readonly number[],
): Promise<void> {
  const role = outputProjection(layer, sublayer);
  const weight = floats(await student.weight(`${role}.weight`, 'f32'));
  await replaceProjections(student, { [role]: await solve(statistics, weight, ridges, student.engine) });
}

/** Fitted to all samples, with the ridge that served the held-out ones best when it was fitted to the others. */
async function solve(
  statistics: readonly SublayerStatistics[],
  weight: Float32Array,
  ridges: readonly number[],
  engine: Engine,
): Promise<ProjectionFit> {
  const all = statistics.reduce(sumOf);
  if (weight.length === 0) return { weight, biasShift: Float32Array.from(all.targetSums, (sum) => sum / all.rows) };
  const [others, heldOut] = statistics;
  const ridge =
    others === undefined || heldOut === undefined
      ? cautiousRidge
      : await bestRidge(others, heldOut, weight, ridges, engine);
  return solveProjection(all, weight, ridge, engine);
}

function sumOf(a: SublayerStatistics, b: SublayerStatistics): SublayerStatistics {
  const add = (x: Float64Array, y: Float64Array) => {
    const sum = x.slice();
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (y[i] as number);
    return sum;
  };
  return {
    rows: a.rows + b.rows,
    gram: add(a.gram, b.gram),
    cross: add(a.cross, b.cross),
    inputSums: add(a.inputSums, b.inputSums),
    targetSums: add(a.targetSums, b.targetSums),
    targetSquares: a.targetSquares + b.targetSquares,
  };
}

/** All at once: the engine packs a layer anew with every change. */
async function replaceProjections(student: Model, fits: Record<string, ProjectionFit>): Promise<void> {
  const weights: Record<string, Float32Array> = {};
  for (const [role, { weight, biasShift }] of Object.entries(fits)) {
    const bias = floats(await student.weight(`${role}.bias`, 'f32'));
    weights[`${role}.weight`] = weight;
    weights[`${role}.bias`] = bias.map((value, i) => value + (biasShift[i] as number));
  }
  await student.replace(weights);
}
