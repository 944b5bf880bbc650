import type { Elimination, PackedBatch, Sublayer } from '../native/addon.js';
import type { CallOptions } from '../native/call.js';
import type { GradientMoments } from '../native/gradient-moments.js';
import type { Model } from '../native/model.js';
import { eliminationOrder } from '../native/solver.js';
import { floats } from './weights.js';

export interface ErrorCurve extends Elimination {
  layer: number;
  sublayer: Sublayer;
}

export interface CurveOptions extends CallOptions {
  ridge: number;
  onSublayers?: ((done: number, total: number) => void) | undefined;
}

/** In which order each sub-layer loses its units, and what that costs. */
export async function errorCurves(
  model: Model,
  batch: PackedBatch,
  moments: GradientMoments,
  { ridge, signal, onSublayers }: CurveOptions,
): Promise<ErrorCurve[]> {
  using states = await model.embed(batch, { signal });
  const { threads } = model.engine;
  const curves: ErrorCurve[] = [];
  for (const [layer, { heads, neurons }] of model.spec.layers.entries()) {
    for (const [sublayer, units] of [['attention', heads] as const, ['ffn', neurons] as const]) {
      const statistics = await states.collectInputs(layer, sublayer, { signal });
      const attention = sublayer === 'attention';
      const role = `layers.${layer}.${attention ? 'attention.output' : 'ffn.out'}.weight`;
      const moment = (await moments.read(layer, sublayer)).map((value) => value / statistics.rows);
      const elimination =
        units === 0
          ? { order: new Int32Array(), errors: new Float64Array() }
          : await eliminationOrder(
              statistics,
              floats(await model.weight(role, 'f32')),
              moment,
              attention ? model.spec.headSize : 1,
              ridge,
              threads,
            );
      curves.push({ layer, sublayer, ...elimination });
      onSublayers?.(curves.length, 2 * model.spec.layers.length);
    }
  }
  return curves;
}
