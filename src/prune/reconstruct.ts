import type { PackedBatch, ProjectionFit, Sublayer } from '../native/addon.js';
import type { CallOptions } from '../native/call.js';
import type { HiddenStates } from '../native/hidden-states.js';
import type { Model } from '../native/model.js';
import { composeProjection, solveProjection } from '../native/solver.js';
import { floats, identity, inputProjections, outputProjection } from './weights.js';

export interface ReconstructOptions extends CallOptions {
  /** Projections to leave as they are. */
  without?: readonly string[] | undefined;
  onSublayers?: ((done: number, total: number) => void) | undefined;
}

/** Of every least-squares system, as a part of the mean of its inputs' variances. */
const ridge = 3e-2;

/**
 * Makes up for removed units, sub-layer by sub-layer on what the earlier ones, made up for already, hand it:
 * first its input projections are solved anew, so that from the displaced inputs they compute what the dense model's
 * compute from theirs, then its output projection with its bias, so that the sum before the LayerNorm comes close to the
 * dense model's. A sub-layer that has lost every unit becomes a bias.
 *
 * Kwon et al. 2022 (section 4.3) fit one scale a unit to a pruned teacher instead.
 */
export async function reconstruct(
  student: Model,
  dense: Model,
  batch: PackedBatch,
  { without, signal, onSublayers }: ReconstructOptions = {},
): Promise<void> {
  using guide = await dense.embed(batch, { everyToken: true, signal });
  using states = await student.embed(batch, { everyToken: true, signal });
  const total = 2 * student.spec.layers.length;
  let done = 0;
  for (const [layer, { heads, neurons }] of student.spec.layers.entries()) {
    for (const [sublayer, units] of [['attention', heads] as const, ['ffn', neurons] as const]) {
      // The first layer's attention sees what the dense model's does.
      if (units > 0 && (layer > 0 || sublayer === 'ffn') && !without?.includes('inputs')) {
        await solveInputs(student, states, guide, layer, sublayer, signal);
      }
      if (without?.includes('outputs')) await guide.advance(layer, sublayer, { signal });
      else await solveOutput(student, states, guide, layer, sublayer, signal);
      await states.advance(layer, sublayer, { signal });
      done++;
      onSublayers?.(done, total);
    }
  }
}

/**
 * The best affine guess of the dense model's hidden states from the student's, composed with each input projection. That
 * is the least-squares solution for the projections themselves.
 */
async function solveInputs(
  student: Model,
  states: HiddenStates,
  guide: HiddenStates,
  layer: number,
  sublayer: Sublayer,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { threads } = student.engine;
  const drift = await states.collectDrift(guide, { signal });
  const guess = await solveProjection(drift, identity(student.spec.hiddenSize), ridge, threads);
  const fits: Record<string, ProjectionFit> = {};
  for (const role of inputProjections(layer, sublayer)) {
    const weight = floats(await student.weight(`${role}.weight`, 'f32'));
    fits[role] = await composeProjection(weight, guess, threads);
  }
  await replaceProjections(student, fits);
}

async function solveOutput(
  student: Model,
  states: HiddenStates,
  guide: HiddenStates,
  layer: number,
  sublayer: Sublayer,
  signal: AbortSignal | undefined,
): Promise<void> {
  const role = outputProjection(layer, sublayer);
  const statistics = await states.collect(guide, layer, sublayer, { signal });
  const weight = floats(await student.weight(`${role}.weight`, 'f32'));
  const fit =
    weight.length === 0
      ? { weight, biasShift: Float32Array.from(statistics.targetSums, (sum) => sum / statistics.rows) }
      : await solveProjection(statistics, weight, ridge, student.engine.threads);
  await replaceProjections(student, { [role]: fit });
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
