import type { Elimination, ProjectionFit, ScaleSystem, SublayerStatistics } from './addon.js';
import { callAsync } from './call.js';
import type { Engine } from './engine.js';
import { addon } from './load.js';

// Arrays are read where they are, not copied: they must not change before the promise settles.

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
  engine: Engine,
): Promise<ScaleSystem> {
  return callAsync(() => addon().scaleSystem(statistics, weight, unitSize, ones, engine.native));
}

/**
 * z of (M^2 + 1) z = M r, what LSMR with damp 1 on M z = r converges to.
 *
 * @throws EspalierError ERR_NON_FINITE, ERR_NOT_POSITIVE_DEFINITE
 */
export function solveFiltered(system: ScaleSystem, engine: Engine): Promise<Float64Array> {
  return callAsync(() => addon().solveFiltered(system, engine.native));
}

/**
 * Optimal brain surgeon over the units of a projection: each is removed when it hurts least after the remaining inputs
 * and the bias have been solved for again.
 *
 * @param weight the output projection [hidden, inputs]
 * @param outputMoments [hidden, hidden] what an error of the output costs: the second moment of the loss gradient there
 * @param unitSize consecutive inputs of a unit: the head size, or 1 for neurons
 * @param ridge as a part of the mean of the inputs' variances
 * @throws EspalierError ERR_NOT_POSITIVE_DEFINITE when the ridge is too small to tell the inputs apart
 */
export function eliminationOrder(
  statistics: SublayerStatistics,
  weight: Float32Array,
  outputMoments: Float64Array,
  unitSize: number,
  ridge: number,
  engine: Engine,
): Promise<Elimination> {
  return callAsync(() => addon().eliminationOrder(statistics, weight, outputMoments, unitSize, ridge, engine.native));
}

/**
 * Least squares of a whole projection with its bias, pulled towards the present weight.
 *
 * @param weight the present output projection [hidden, inputs]
 * @param ridge as a part of the mean of the inputs' variances
 * @throws EspalierError ERR_NOT_POSITIVE_DEFINITE
 */
export function solveProjection(
  statistics: SublayerStatistics,
  weight: Float32Array,
  ridge: number,
  engine: Engine,
): Promise<ProjectionFit> {
  return callAsync(() => addon().solveProjection(statistics, weight, ridge, engine.native));
}

/**
 * The ridge whose solution of `fit` comes closest to the targets of `heldOut`, statistics of other rows.
 *
 * @param weight the present output projection [hidden, inputs]
 * @throws EspalierError ERR_NOT_POSITIVE_DEFINITE
 */
export function bestRidge(
  fit: SublayerStatistics,
  heldOut: SublayerStatistics,
  weight: Float32Array,
  ridges: readonly number[],
  engine: Engine,
): Promise<number> {
  return callAsync(() => addon().bestRidge(fit, heldOut, weight, Float64Array.from(ridges), engine.native));
}

/**
 * The projection of an affine map's output as one of its input.
 *
 * @param weight [outputs, inputs] what is applied to map.weight x + map.biasShift
 */
export function composeProjection(weight: Float32Array, map: ProjectionFit, engine: Engine): Promise<ProjectionFit> {
  return callAsync(() => addon().composeProjection(weight, map, engine.native));
}

/**
 * `count` vectors with a short sum (Kwon et al. 2022, section 4.2), of columns start .. end - 1, counted from `start`.
 *
 * @param vectors [length, any], a column each
 * @throws EspalierError ERR_NON_FINITE
 */
export function shortestSum(
  vectors: Float32Array,
  length: number,
  { start, end }: { start: number; end: number },
  count: number,
): Promise<Int32Array> {
  return callAsync(() => addon().shortestSum(vectors, length, start, end - start, count));
}
