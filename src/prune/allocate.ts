import { EspalierError } from '../native/errors.js';
import type { CostModel } from './cost.js';
import type { ErrorCurve } from './error-curves.js';

/** What one sub-layer may lose: removed[i] units cost costs[i] less and leave an error of errors[i]. */
export interface Choices {
  removed: number[];
  /** Of the units that are left. */
  costs: number[];
  errors: number[];
}

/** Neurons are taken away by as many as a kernel computes at once: a narrower FFN would not be faster. */
const neuronStep = 16;
/** Steps that the budget is divided into. */
const gridSteps = 1 << 14;

/** Every number of heads, and numbers of neurons in steps. */
export function choicesOf({ layer, sublayer, order, errors }: ErrorCurve, costs: CostModel): Choices {
  const step = sublayer === 'attention' ? 1 : neuronStep;
  const removed = [0];
  for (let kept = Math.floor((order.length - 1) / step) * step; kept >= 0; kept -= step)
    removed.push(order.length - kept);
  return {
    removed,
    costs: removed.map((count) => costs.of(layer, sublayer, order.length - count)),
    errors: removed.map((count) => (count === 0 ? 0 : (errors[count - 1] as number))),
  };
}

/**
 * One choice for each sub-layer: the smallest sum of errors whose sum of costs stays within the budget, by dynamic
 * programming over costs rounded up to a grid of the budget's 1/16,384. Equal sums go to the choice that keeps more.
 *
 * @returns the index of each sub-layer's choice
 * @throws EspalierError ERR_TARGET where not even the cheapest choices fit
 */
export function allocate(sublayers: readonly Choices[], budget: number): number[] {
  const stepsOf = ({ costs }: Choices) =>
    costs.map((cost) => (cost === 0 ? 0 : Math.ceil((cost / budget) * gridSteps)));
  // best[b]: the smallest sum of errors of the sub-layers so far at a cost of at most b steps.
  let best = new Float64Array(gridSteps + 1);
  const chosen: Uint16Array[] = [];
  for (const sublayer of sublayers) {
    const next = new Float64Array(gridSteps + 1).fill(Number.POSITIVE_INFINITY);
    const choice = new Uint16Array(gridSteps + 1);
    for (const [index, cost] of stepsOf(sublayer).entries()) {
      const error = sublayer.errors[index] as number;
      for (let b = cost; b <= gridSteps; b++) {
        const sum = (best[b - cost] as number) + error;
        if (sum < (next[b] as number)) {
          next[b] = sum;
          choice[b] = index;
        }
      }
    }
    best = next;
    chosen.push(choice);
  }
  if (best[gridSteps] === Number.POSITIVE_INFINITY) {
    throw new EspalierError('ERR_TARGET', 'not even the smallest model fits the budget (keep more)');
  }
  let left = gridSteps;
  return sublayers
    .map((sublayer, index) => [sublayer, chosen[index] as Uint16Array] as const)
    .reverse()
    .map(([sublayer, choice]) => {
      const index = choice[left] as number;
      left -= stepsOf(sublayer)[index] as number;
      return index;
    })
    .reverse();
}
