import type { LayerShape } from '../../src/native/addon.js';
import type { ErrorCurve } from '../../src/prune/error-curves.js';
import { unitKindOf } from '../../src/prune/units.js';

/** What is left when each curve's sub-layer loses so many units. */
export function layersWithout(
  removed: readonly number[],
  curves: readonly ErrorCurve[],
  layers: readonly LayerShape[],
): LayerShape[] {
  const left = layers.map((layer) => ({ ...layer }));
  for (const [index, { layer, sublayer }] of curves.entries()) {
    (left[layer] as LayerShape)[unitKindOf(sublayer)] -= removed[index] as number;
  }
  return left;
}

/** The errors that an allocation accepts. */
export const errorOf = (removed: readonly number[], curves: readonly ErrorCurve[]): number =>
  curves.reduce((sum, { errors }, index) => sum + (errors[(removed[index] as number) - 1] ?? 0), 0);
