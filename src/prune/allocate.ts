/** What one sub-layer may keep: choices[i] costs costs[i] and leaves an error of errors[i]. */
export interface Choices {
  costs: Float64Array;
  errors: Float64Array;
}

/** Steps that the budget is divided into. */
const gridSteps = 1 << 14;

/**
 * One choice for each sub-layer: the smallest sum of errors whose sum of costs stays within the budget, by dynamic
 * programming over costs that are rounded up to a grid.
 *
 * @returns the index of each sub-layer's choice; undefined where not even the cheapest ones fit
 */
export function allocate(sublayers: readonly Choices[], budget: number): number[] | undefined {
  const toSteps = (cost: number) => Math.ceil((cost / budget) * gridSteps - 1e-9);
  // best[b]: the smallest error of the sub-layers so far at a cost of at most b steps.
  let best = new Float64Array(gridSteps + 1);
  const chosen: Uint16Array[] = [];
  for (const { costs, errors } of sublayers) {
    const next = new Float64Array(gridSteps + 1).fill(Number.POSITIVE_INFINITY);
    const choice = new Uint16Array(gridSteps + 1);
    for (const [index, error] of errors.entries()) {
      const cost = toSteps(costs[index] as number);
      for (let b = cost; b <= gridSteps; b++) {
        const total = (best[b - cost] as number) + error;
        if (total < (next[b] as number)) {
          next[b] = total;
          choice[b] = index;
        }
      }
    }
    best = next;
    chosen.push(choice);
  }
  if (best[gridSteps] === Number.POSITIVE_INFINITY) return undefined;
  let left = gridSteps;
  const result = new Array<number>(sublayers.length);
  for (let s = sublayers.length - 1; s >= 0; s--) {
    const index = (chosen[s] as Uint16Array)[left] as number;
    result[s] = index;
    left -= toSteps((sublayers[s] as Choices).costs[index] as number);
  }
  return result;
}
