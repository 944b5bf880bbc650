import type { ScaleSystem, SublayerStatistics } from './addon.js';
import { callAsync } from './call.js';
import { addon } from './load.js';

/**
 * The least-squares system of one scale per unit of a sub-layer (Kwon et al. 2022, section 4.3).
 *
 * @param weight the output projection [hidden, inputs]
 * @param unitSize consecutive inputs that share a scale: the head size, or 1 for neurons
 * @param ones whether a last unknown multiplies a column of ones
 */
export function scaleSystem(
  statistics: SublayerStatistics,
  weight: Float32Array,
  unitSize: number,
  ones: boolean,
  threads: number,
): Promise<ScaleSystem> {
  return callAsync(() => addon().scaleSystem(statistics, weight, unitSize, ones, threads));
}

/**
 * z of (M^2 + 1) z = M r, what LSMR with damp 1 on M z = r converges to.
 *
 * @throws EspalierError ERR_NON_FINITE, ERR_NOT_POSITIVE_DEFINITE
 */
export function solveFiltered(system: ScaleSystem, threads: number): Promise<Float64Array> {
  return callAsync(() => addon().solveFiltered(system, threads));
}
