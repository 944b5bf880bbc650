import type { PackedBatch, Sublayer } from '../native/addon.js';
import type { CallOptions } from '../native/call.js';
import type { HiddenStates } from '../native/hidden-states.js';
import type { Model } from '../native/model.js';
import { solveProjection } from '../native/solver.js';
import { floats, outputProjection } from './weights.js';

export interface ReconstructOptions extends CallOptions {
  ridge: number;
  onSublayers?: ((done: number, total: number) => void) | undefined;
}

/** Solves every output projection of the student anew. */
export async function reconstruct(
  student: Model,
  dense: Model,
  batch: PackedBatch,
  { ridge, signal, onSublayers }: ReconstructOptions,
): Promise<void> {
  using guide = await dense.embed(batch, { signal });
  using states = await student.embed(batch, { signal });
  const total = 2 * student.spec.layers.length;
  let done = 0;
  for (const layer of student.spec.layers.keys()) {
    for (const sublayer of ['attention', 'ffn'] as const) {
      await solveSublayer(student, states, guide, layer, sublayer, ridge, signal);
      await states.advance(layer, sublayer, { signal });
      onSublayers?.(++done, total);
    }
  }
}

async function solveSublayer(
  student: Model,
  states: HiddenStates,
  guide: HiddenStates,
  layer: number,
  sublayer: Sublayer,
  ridge: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const role = outputProjection(layer, sublayer);
  const statistics = await states.collect(guide, layer, sublayer, { signal });
  const weight = floats(await student.weight(`${role}.weight`, 'f32'));
  const bias = floats(await student.weight(`${role}.bias`, 'f32'));
  const fit =
    weight.length === 0
      ? { weight, biasShift: Float32Array.from(statistics.targetSums, (sum) => sum / statistics.rows) }
      : await solveProjection(statistics, weight, ridge, student.engine.threads);
  await student.replace({
    [`${role}.weight`]: fit.weight,
    [`${role}.bias`]: bias.map((value, i) => value + (fit.biasShift[i] as number)),
  });
}
