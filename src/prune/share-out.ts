import type { LayerShape, Mask } from '../native/addon.js';
import { allocate, choicesOf } from './allocate.js';
import type { CostModel } from './cost.js';
import type { ErrorCurve } from './error-curves.js';
import { fullMask, unitKindOf, unitRanges } from './units.js';

/** How many units each sub-layer loses so that `keep` of the cost is left and the sum of errors is the smallest. */
export function shareOut(curves: readonly ErrorCurve[], keep: number, costs: CostModel): number[] {
  if (keep === 1) return curves.map(() => 0);
  const choices = curves.map((curve) => choicesOf(curve, costs));
  return allocate(choices, costs.budget(keep)).map((choice, i) => choices[i]?.removed[choice] as number);
}

/** The mask without the first so many units of each curve's order. */
export function maskWithout(
  removed: readonly number[],
  curves: readonly ErrorCurve[],
  layers: readonly LayerShape[],
): Mask {
  const mask = fullMask(layers);
  for (const [index, { layer, sublayer, order }] of curves.entries()) {
    const kind = unitKindOf(sublayer);
    const { start } = unitRanges(layers, kind)[layer] as { start: number };
    for (const unit of order.subarray(0, removed[index])) mask[kind][start + unit] = 0;
  }
  return mask;
}
