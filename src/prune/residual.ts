import type { ScaleSystem } from '../native/addon.js';

/**
 * |A x - b|^2 of scales x, from a system with matrix A'A and right-hand side A'b - A'A 1. A trailing unknown for a
 * column of ones, which the model has no place for, counts as 0.
 *
 * @param targetSquares |b|^2
 */
export function squaredDistance({ matrix, rhs }: ScaleSystem, scales: Float64Array, targetSquares: number): number {
  const unknowns = rhs.length;
  let distance = targetSquares;
  for (const [u, scale] of scales.entries()) {
    let image = 0;
    let target = rhs[u] as number;
    for (let v = 0; v < unknowns; v++) {
      const entry = matrix[u * unknowns + v] as number;
      target += entry;
      image += entry * (scales[v] ?? 0);
    }
    distance += scale * (image - 2 * target);
  }
  return distance;
}
