import type { PackedBatch, TokenPruning } from '../native/addon.js';
import type { Model } from '../native/model.js';
import { copyOf } from '../prune/compact.js';
import { reconstruct } from '../prune/reconstruct.js';
import { mean } from '../statistics.js';
import { multiplesOf } from './baselines.js';
import type { CalibrationOptions } from './calibrate.js';
import { divergences } from './divergence.js';
import { fitToMacs, savingsOn } from './fit-to-macs.js';

/** What least squares on the tokens that go on are worth. */
export interface Reconstruction {
  /** Whether the weights are the new ones: predictions come nearer, by more than chance is likely to feign. */
  kept: boolean;
  /** From the dense model's predictions, on texts that nothing was fitted to: with the old weights and the new. */
  divergence: { before: number; after: number };
}

/** A model with what drops its tokens. */
export interface DroppingModel {
  model: Model;
  pruning: TokenPruning;
  reconstruction?: Reconstruction | undefined;
}

/** Stronger than for removed units: rows are fewer, and more differs than one projection can mend. */
const ridges = [0.1, 1, 10];
/** A sequence head reads nothing else. */
const firstTokenWeight = { sequence: 4, span: 1 };

/**
 * Makes up for dropped tokens by least squares on those that go on: sub-layer by sub-layer, output projections are
 * solved anew so that sums before the LayerNorm come close to the dense model's at the same tokens. Nearer states need
 * not mean nearer predictions, so the new weights are kept only where these clearly come nearer on other texts.
 *
 * @param batch the texts that the thresholds meet the budget on
 * @param heldOut other texts
 * @returns a copy of `dense`, with new weights or the same
 */
export async function reconstructDropping(
  dense: Model,
  pruning: TokenPruning,
  batch: PackedBatch,
  heldOut: PackedBatch,
  { loss, macs, signal, onProgress }: Omit<CalibrationOptions, 'paddedLength'>,
): Promise<DroppingModel> {
  const logits = await dense.forward(heldOut, { pruning: null, signal });
  const divergencesOf = async (model: Model, pruning: TokenPruning) =>
    divergences(logits, await model.forward(heldOut, { pruning, signal }), loss, heldOut);
  const student = await copyOf(dense, 'inference');
  try {
    const onSublayers = (done: number, total: number) => onProgress?.({ stage: 'reconstruct', done, total });
    await reconstruct(student, dense, batch, {
      pruning,
      ridges,
      firstTokenWeight: firstTokenWeight[dense.spec.head],
      without: ['inputs'],
      signal,
      onSublayers,
    });
    const fitted = await withinBudget(student, pruning, batch, { macs, signal });
    const [before, after] = [await divergencesOf(dense, pruning), await divergencesOf(student, fitted)];
    const reconstruction = {
      kept: isClearlyLess(after, before),
      divergence: { before: mean(before), after: mean(after) },
    };
    if (reconstruction.kept) return { model: student, pruning: fitted, reconstruction };
    const model = await copyOf(dense, 'inference');
    student.dispose();
    return { model, pruning, reconstruction };
  } catch (error) {
    student.dispose();
    throw error;
  }
}

/** Whether the mean falls by more than one standard error of the differences: few texts can make up most of a mean. */
function isClearlyLess(after: readonly number[], before: readonly number[]): boolean {
  const gains = before.map((value, i) => value - (after[i] as number));
  const gain = mean(gains);
  return gain > Math.sqrt(mean(gains.map((value) => (value - gain) ** 2)) / gains.length);
}

/** With other weights tokens matter a little more or less than before. */
async function withinBudget(
  model: Model,
  pruning: TokenPruning,
  batch: PackedBatch,
  { macs, signal }: Pick<CalibrationOptions, 'macs' | 'signal'>,
): Promise<TokenPruning> {
  if ((await savingsOn(model, batch, pruning, signal)).macs <= macs) return pruning;
  const { at, hardest } = multiplesOf(pruning);
  return await fitToMacs(model, batch, at, hardest, { macs, signal });
}
