import type { PackedBatch, TokenPruning } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import type { Model } from '../native/model.js';
import { type TokenSavings, tokenCounts, tokenSavings } from './token-counts.js';

/** How near to the target is near enough, from below. */
const tolerance = 0.003;
const mostHalvings = 30;

export interface FitOptions {
  /** The part of the multiply-accumulates to keep at most. */
  macs: number;
  signal?: AbortSignal | undefined;
}

/** Throws ERR_OPTION unless it is a part of the multiply-accumulates that may be kept. */
export function checkMacs(macs: number): void {
  if (!(macs > 0 && macs <= 1))
    throw new EspalierError('ERR_OPTION', `macs must be above 0 and at most 1, not ${macs}`);
}

/** What a pruning leaves of the work on some sequences. */
export async function savingsOn(
  model: Model,
  batch: PackedBatch,
  pruning: TokenPruning,
  signal?: AbortSignal,
): Promise<TokenSavings> {
  const traced = await model.traceTokens(batch, { pruning, signal });
  return tokenSavings(model.spec, tokenCounts(traced, batch, model.spec.layers.length));
}

/** Throws ERR_TARGET where the hardest pruning of some keeps more of the work on some sequences than may be kept. */
export async function checkReachable(
  model: Model,
  batch: PackedBatch,
  hardest: TokenPruning,
  { macs, signal }: FitOptions,
): Promise<void> {
  const { macs: least } = await savingsOn(model, batch, hardest, signal);
  if (least <= macs) return;
  throw new EspalierError(
    'ERR_TARGET',
    `at least ${least.toFixed(3)} of the multiply-accumulates are left, however many tokens are dropped (ask for more than ${macs})`,
  );
}

/**
 * The member of a family of ever harder prunings that keeps just so much of the work on some sequences.
 *
 * @param pruningAt the family: the larger the argument, from 0 to `hardest`, the fewer tokens go on
 * @throws EspalierError ERR_TARGET where even the hardest keeps more, ERR_CANCELLED
 */
export async function fitToMacs(
  model: Model,
  batch: PackedBatch,
  pruningAt: (hardness: number) => TokenPruning,
  hardest: number,
  { macs, signal }: FitOptions,
): Promise<TokenPruning> {
  await checkReachable(model, batch, pruningAt(hardest), { macs, signal });
  let [tooSoft, hardEnough] = [0, hardest];
  for (let halvings = 0; halvings < mostHalvings; halvings++) {
    const middle = (tooSoft + hardEnough) / 2;
    const { macs: left } = await savingsOn(model, batch, pruningAt(middle), signal);
    if (left > macs) tooSoft = middle;
    else hardEnough = middle;
    if (left <= macs && left > macs - tolerance) break;
  }
  return pruningAt(hardEnough);
}
