import type { Mask, PackedBatch, ScaleSystem, Sublayer } from '../native/addon.js';
import type { CallOptions } from '../native/call.js';
import type { Engine } from '../native/engine.js';
import { EspalierError } from '../native/errors.js';
import type { HiddenStates } from '../native/hidden-states.js';
import type { Model } from '../native/model.js';
import { scaleSystem, solveFiltered } from '../native/solver.js';
import { compact, droppedNeurons } from './compact.js';
import { squaredDistance } from './residual.js';
import { unitKindOf } from './units.js';
import { floats, outputProjection } from './weights.js';

/** Scales outside [-maxScale, maxScale] are not trusted, as in the public code. */
const maxScale = 10;

/** What tuning did to one sub-layer. */
export interface TunedSublayer {
  layer: number;
  sublayer: Sublayer;
  /** One a kept unit; all ones where they were left alone. */
  scales: Float64Array;
  /** Why they were left alone. */
  problem?: string;
  /** Squared distance to the teacher over the calibration tokens as a part of the target's square: with scales of one,
   * and with these. */
  residual: { before: number; after: number };
}

export interface TuneOptions extends CallOptions {
  onSublayers?: ((done: number, total: number) => void) | undefined;
}

/**
 * Step 5, mask tuning (Kwon et al. 2022, section 4.3): attention, then FFN of each layer in turn, one scale a unit is
 * fitted so that the student's sub-layer comes close to the teacher's, given what the student's tuned earlier layers
 * hand it. The scales are folded into the student's weights. Sub-layers without units have nothing to fit, and the first
 * layer's heads, which see the same input as the teacher's, are left alone as in the public code.
 *
 * A sub-layer whose system has no solution, or whose scales leave [-10, 10], keeps its old scales; later ones are tuned
 * all the same.
 *
 * @param model the model the student was taken from; without the units that `teacherMask` masks it is the teacher. As in
 *   the public code, an FFN's target holds the masked neurons too, while the teacher's own next layer does not see them.
 */
export async function tune(
  student: Model,
  model: Model,
  teacherMask: Mask,
  batch: PackedBatch,
  { signal, onSublayers }: TuneOptions = {},
): Promise<TunedSublayer[]> {
  using teacher = await compact(model, teacherMask, 'inference');
  using targetsOnly = await droppedNeurons(model, teacherMask);
  using guide = await teacher.embed(batch, { signal, targetsOnly });
  using states = await student.embed(batch, { signal });
  const tuned: TunedSublayer[] = [];
  const total = 2 * student.spec.layers.length;
  let done = 0;
  for (const [layer, { heads, neurons }] of student.spec.layers.entries()) {
    for (const [sublayer, units] of [['attention', layer === 0 ? 0 : heads] as const, ['ffn', neurons] as const]) {
      if (units === 0) await guide.advance(layer, sublayer, { signal });
      else tuned.push(await tuneSublayer(student, states, guide, layer, sublayer, signal));
      await states.advance(layer, sublayer, { signal });
      onSublayers?.(++done, total);
    }
  }
  return tuned;
}

async function tuneSublayer(
  student: Model,
  states: HiddenStates,
  guide: HiddenStates,
  layer: number,
  sublayer: Sublayer,
  signal: AbortSignal | undefined,
): Promise<TunedSublayer> {
  const { system, targetSquares } = await sublayerSystem(student, states, guide, layer, sublayer, signal);
  const units = student.spec.layers[layer]?.[unitKindOf(sublayer)] as number;
  const ones = new Float64Array(units).fill(1);
  const { scales = ones, problem } = await fitScales(system, units, student.engine);
  if (problem === undefined) await student.scaleUnits(layer, sublayer, scales);
  const part = (values: Float64Array) => squaredDistance(system, values, targetSquares) / targetSquares;
  const residual = { before: part(ones), after: part(scales) };
  return { layer, sublayer, scales, ...(problem && { problem }), residual };
}

/** The system of a sub-layer's scales and the square of its target. The teacher's states advance past the sub-layer. */
export async function sublayerSystem(
  student: Model,
  states: HiddenStates,
  guide: HiddenStates,
  layer: number,
  sublayer: Sublayer,
  signal?: AbortSignal,
): Promise<{ system: ScaleSystem; targetSquares: number }> {
  const attention = sublayer === 'attention';
  const unitSize = attention ? student.spec.headSize : 1;
  const statistics = await states.collect(guide, layer, sublayer, { signal });
  const weight = floats(await student.weight(`${outputProjection(layer, sublayer)}.weight`, 'f32'));
  const system = await scaleSystem(statistics, weight, unitSize, attention, student.engine);
  return { system, targetSquares: statistics.targetSquares };
}

/** Scales of the units, or why there are none to use. A last unknown beyond them, the shift of the ones, is dropped. */
async function fitScales(
  system: ScaleSystem,
  units: number,
  engine: Engine,
): Promise<{ scales?: Float64Array; problem?: string }> {
  try {
    const deviations = await solveFiltered(system, engine);
    const scales = deviations.slice(0, units).map((deviation) => 1 + deviation);
    if (scales.every((scale) => Math.abs(scale) <= maxScale)) return { scales };
    return { problem: `its scales leave [-${maxScale}, ${maxScale}]` };
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    if (error.code === 'ERR_NON_FINITE') return { problem: 'its statistics are not finite' };
    if (error.code === 'ERR_NOT_POSITIVE_DEFINITE') return { problem: 'its units are too alike to be told apart' };
    throw error;
  }
}
