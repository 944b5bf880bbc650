import type { Elimination, PackedBatch, Sublayer } from '../native/addon.js';
import type { CallOptions } from '../native/call.js';
import { EspalierError } from '../native/errors.js';
import type { GradientMoments } from '../native/gradient-moments.js';
import type { Model } from '../native/model.js';
import { eliminationOrder } from '../native/solver.js';
import { floats, identity, outputProjection } from './weights.js';

/** In which order a sub-layer loses its units, and what that costs. */
export interface ErrorCurve extends Elimination {
  layer: number;
  sublayer: Sublayer;
}

export interface CurveOptions extends CallOptions {
  onSublayers?: ((done: number, total: number) => void) | undefined;
}

/** Of the Gram matrices, as a part of the mean of the inputs' variances. */
const ridge = 1e-3;

/**
 * The error curve of every sub-layer of the dense model, attention then FFN of each layer: the loss it adds, to second
 * order, once its first 1, 2, ... units are gone and its output projection is solved anew. Errors of different
 * sub-layers compare, because the second moment of the loss gradient at the output weighs them.
 *
 * @throws EspalierError ERR_NON_FINITE, ERR_CANCELLED
 * @param moments filled on the same batch; without them every direction of every output counts the same
 */
export async function errorCurves(
  model: Model,
  batch: PackedBatch,
  moments: GradientMoments | undefined,
  { signal, onSublayers }: CurveOptions = {},
): Promise<ErrorCurve[]> {
  const { headSize, layers } = model.spec;
  using states = await model.embed(batch, { signal });
  const curves: ErrorCurve[] = [];
  for (const [layer, { heads, neurons }] of layers.entries()) {
    for (const [sublayer, units, unitSize] of [['attention', heads, headSize] as const, ['ffn', neurons, 1] as const]) {
      const statistics = await states.collectInputs(layer, sublayer, { signal });
      const sum = (await moments?.read(layer, sublayer)) ?? Float64Array.from(identity(model.spec.hiddenSize));
      const weight = floats(await model.weight(`${outputProjection(layer, sublayer)}.weight`, 'f32'));
      const elimination =
        units === 0
          ? { order: new Int32Array(), errors: new Float64Array() }
          : await eliminationOrder(statistics, weight, sum, unitSize, ridge, model.engine);
      if (!elimination.errors.every(Number.isFinite)) {
        throw new EspalierError(
          'ERR_NON_FINITE',
          `the ${sublayer} of layer ${layer} has errors that are not finite numbers (check the checkpoint)`,
        );
      }
      // The moments are sums over rows.
      const errors = elimination.errors.map((error) => error / statistics.rows);
      curves.push({ layer, sublayer, order: elimination.order, errors });
      onSublayers?.(curves.length, 2 * layers.length);
    }
  }
  return curves;
}
