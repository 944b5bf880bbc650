import type { LayerShape, Mask } from '../native/addon.js';
import type { CostModel } from './cost.js';
import type { ErrorCurve } from './error-curves.js';
import { maskWithout, shareOut } from './share-out.js';
import { type UnitValues, unitKindOf, unitRanges } from './units.js';

/**
 * Step 2, mask search under another cost (Kwon et al. 2022, section 4.1): the units that keep the most importance within
 * `keep` of the cost. Where a cost is flat, up to the threshold of a measured latency, units come for nothing; a sub-layer
 * that loses all costs nothing. The paper's search is greedy; dynamic programming over the sub-layers, each losing its
 * least important units first, is exact. Neurons go in steps of a kernel's columns.
 */
export function searchUnderCosts(
  importance: UnitValues,
  layers: readonly LayerShape[],
  costs: CostModel,
  keep: number,
): Mask {
  const curves = layers.flatMap((_, layer) =>
    (['attention', 'ffn'] as const).map((sublayer): ErrorCurve => {
      const kind = unitKindOf(sublayer);
      const { start, end } = unitRanges(layers, kind)[layer] as { start: number; end: number };
      return { layer, sublayer, ...leastImportantFirst(importance[kind].subarray(start, end)) };
    }),
  );
  return maskWithout(shareOut(curves, keep, costs), curves, layers);
}

/** Of equal units the later goes first. */
function leastImportantFirst(importance: Float64Array): Pick<ErrorCurve, 'order' | 'errors'> {
  const worth = (unit: number) => importance[unit] as number;
  const order = Int32Array.from(importance.keys()).sort((a, b) => worth(a) - worth(b) || b - a);
  let lost = 0;
  const errors = Float64Array.from(order, (unit) => {
    lost += worth(unit);
    return lost;
  });
  return { order, errors };
}
