import type { TokenPruning } from '../native/addon.js';
import type { Training } from '../native/training.js';
import type { TrainingStep } from '../training/steps.js';
import type { PruningFamily } from './baselines.js';

/** How much work is to be left. */
export interface Budget {
  /** The part of the multiply-accumulates. */
  macs: number;
  /** Which part a step of training left. */
  leftBy: (step: TrainingStep) => number;
  /** Throws ERR_TARGET where a pruning, the hardest there is, leaves more. */
  check: (training: Training, hardest: TokenPruning) => Promise<void>;
  /** Finds the member of a family that meets it with the model as it is trained so far. */
  fit: (training: Training, family: PruningFamily) => Promise<TokenPruning>;
}

/** Part of the soft stage in which the work that may be left falls from all of it to the budget. */
const falling = 0.5;

/** Whether a step of the soft stage left more work than it may. */
export function leftTooMuch(step: TrainingStep, { macs, leftBy }: Budget): boolean {
  const fallen = Math.min(1, step.step / (falling * step.steps));
  return leftBy(step) > 1 - (1 - macs) * fallen;
}

/** The change of a threshold's logarithm for all of the work: enough to follow the weights, and no batch moves it far. */
const pull = 0.1;

/** Thresholds that leave less the more a step in which they dropped tokens left too much. */
export function nearer(pruning: TokenPruning, step: TrainingStep, { macs, leftBy }: Budget): TokenPruning {
  const factor = Math.exp(pull * (leftBy(step) - macs));
  return { ...pruning, values: pruning.values.map((value) => value * factor) };
}
