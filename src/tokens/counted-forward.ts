import type { PackedBatch, TokenPruning } from '../native/addon.js';
import type { CallOptions } from '../native/call.js';
import type { Model } from '../native/model.js';
import { type TokenCounts, tokenCounts } from './token-counts.js';

export interface CountedForwardOptions extends CallOptions {
  /** In place of what the model's spec says of tokens. */
  pruning?: TokenPruning | undefined;
}

/** A forward and, where tokens are dropped on the way, how many there were of each sequence. */
export async function countedForward(
  model: Model,
  batch: PackedBatch,
  { pruning = model.spec.tokenPruning, signal }: CountedForwardOptions,
): Promise<{ logits: Float32Array; counts?: TokenCounts[] }> {
  if (!pruning) return { logits: await model.forward(batch, { signal }) };
  const traced = await model.traceTokens(batch, { pruning, signal });
  return { logits: traced.logits, counts: tokenCounts(traced, batch, model.spec.layers.length) };
}
