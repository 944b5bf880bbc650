import { Random } from '../data/random.js';
import type { LossKind, PackedBatch } from '../native/addon.js';
import type { CallOptions } from '../native/call.js';
import type { GradientMoments } from '../native/gradient-moments.js';
import type { Model } from '../native/model.js';
import { copyOf } from './compact.js';
import { sequences } from './sequences.js';

export interface MomentOptions extends CallOptions {
  loss: LossKind;
  /** Of the random signs. */
  seed: number;
  onSamples?: ((done: number, total: number) => void) | undefined;
}

/** Sequences of one native call: enough work to fill the machine, short enough to report progress. */
const sequencesPerCall = 128;

/**
 * What an error at each sub-layer's output costs: the second moment of the loss gradient there, the labels being the
 * model's own predictions. The packings that the backward needs are held only meanwhile.
 *
 * @throws EspalierError ERR_NON_FINITE, ERR_CANCELLED
 */
export async function outputMoments(
  model: Model,
  batch: PackedBatch,
  { loss, seed, signal, onSamples }: MomentOptions,
): Promise<GradientMoments> {
  using differentiable = await copyOf(model, 'gradients');
  const moments = await differentiable.gradientMoments();
  try {
    const random = new Random(seed);
    const samples = batch.offsets.length - 1;
    for (let first = 0; first < samples; first += sequencesPerCall) {
      const part = sequences(batch, first, Math.min(first + sequencesPerCall, samples));
      const logits = await differentiable.forward(part, { pruning: null, signal });
      const gradients = fisherGradients(logits, loss, part, random);
      const oneGroup = new Int32Array(part.offsets.length - 1);
      await differentiable.maskGradients(part, gradients, 'given', oneGroup, { moments, signal });
      onSamples?.(Math.min(first + sequencesPerCall, samples), samples);
    }
    return moments;
  } catch (error) {
    moments.dispose();
    throw error;
  }
}

/**
 * Gradients at the logits whose second moment is the Fisher information of the model's own predictions, so that no
 * labels are needed: one backward pass of these stands for the gradients of every answer, each as often as the model
 * gives it. A regression's value counts with a gradient of 1 (an error of fixed variance); of a distribution p over
 * classes, or over a sequence's tokens for each end of a span, the matrix diag(p) - p p' is factored (Tanabe and Sagae
 * 1992) and its columns are summed under random signs.
 *
 * @param logits [sequences, labels], of spans [tokens, 2]
 * @returns as many as there are logits
 */
export function fisherGradients(
  logits: Float32Array,
  loss: LossKind,
  { offsets }: Pick<PackedBatch, 'offsets'>,
  random: Random,
): Float32Array {
  if (loss === 'meanSquared') return new Float32Array(logits.length).fill(1);
  const gradients = new Float32Array(logits.length);
  const sequences = offsets.length - 1;
  const labels = logits.length / sequences;
  for (let s = 0; s < sequences; s++) {
    if (loss === 'crossEntropy') addRoot(logits, gradients, s * labels, labels, 1, random);
    else {
      const [first, end] = [offsets[s] as number, offsets[s + 1] as number];
      for (const column of [0, 1]) addRoot(logits, gradients, 2 * first + column, end - first, 2, random);
    }
  }
  return gradients;
}

/** Of `count` logits from `first` on, `step` apart. */
function addRoot(
  logits: Float32Array,
  gradients: Float32Array,
  first: number,
  count: number,
  step: number,
  random: Random,
): void {
  const p = softmax(Array.from({ length: count }, (_, i) => logits[first + i * step] as number));
  // tails[i] = p[i] + p[i + 1] + ...
  const tails = new Float64Array(count + 1);
  for (let i = count - 1; i >= 0; i--) tails[i] = (tails[i + 1] as number) + (p[i] as number);
  let carried = 0;
  for (let i = 0; i < count; i++) {
    const [probability, tail, rest] = [p[i] as number, tails[i] as number, tails[i + 1] as number];
    const sign = random.below(2) === 0 ? -1 : 1;
    const diagonal = tail > 0 ? Math.sqrt((probability * rest) / tail) : 0;
    gradients[first + i * step] = sign * diagonal - probability * carried;
    // Their product may underflow where neither does.
    if (rest > 0 && tail > 0) carried += (sign * Math.sqrt(probability / tail)) / Math.sqrt(rest);
  }
}

function softmax(logits: readonly number[]): number[] {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}
