import type { LossKind, PackedBatch } from '../native/addon.js';
import type { CallOptions } from '../native/call.js';
import { EspalierError } from '../native/errors.js';
import type { Model } from '../native/model.js';
import { copyOf } from './compact.js';
import { sequences } from './sequences.js';
import { countUnits, type UnitValues } from './units.js';

/** Samples with their labels, as the loss takes them. */
export interface Calibration {
  batch: PackedBatch;
  labels: Int32Array | Float32Array;
}

/** Gradients of each mini-batch's mean loss with respect to every mask entry, masks all one. */
export interface MiniBatchGradients {
  batches: number;
  /** [batches, all heads] */
  heads: Float32Array;
  /** [batches, all neurons] */
  neurons: Float32Array;
}

export interface GradientOptions extends CallOptions {
  loss: LossKind;
  /** Consecutive samples whose mean loss is differentiated; the last mini-batch may have fewer. */
  batchSize: number;
  onBatches?: ((done: number, total: number) => void) | undefined;
}

/** Mini-batches of one native call: enough work to fill the machine, short enough to report progress. */
const batchesPerCall = 4;

/**
 * Step 1, mask gradients (Kwon et al. 2022, section 4.1). The packings that the backward needs are held only meanwhile.
 */
export async function miniBatchGradients(
  model: Model,
  { batch, labels }: Calibration,
  { loss, batchSize, onBatches, signal }: GradientOptions,
): Promise<MiniBatchGradients> {
  using differentiable = await copyOf(model, 'gradients');
  const samples = batch.offsets.length - 1;
  const labelsPerSample = labels.length / samples;
  const batches = Math.ceil(samples / batchSize);
  const heads = new Float32Array(batches * countUnits(model.spec.layers, 'heads'));
  const neurons = new Float32Array(batches * countUnits(model.spec.layers, 'neurons'));
  for (let first = 0; first < batches; first += batchesPerCall) {
    const from = first * batchSize;
    const to = Math.min(from + batchesPerCall * batchSize, samples);
    const groups = Int32Array.from({ length: to - from }, (_, sample) => Math.floor(sample / batchSize));
    const part = await differentiable.maskGradients(
      sequences(batch, from, to),
      labels.slice(from * labelsPerSample, to * labelsPerSample),
      loss,
      groups,
      { signal },
    );
    const sizes = Array.from({ length: Math.ceil((to - from) / batchSize) }, (_, group) =>
      Math.min(batchSize, to - from - group * batchSize),
    );
    copyMeans(part.heads, sizes, heads, first);
    copyMeans(part.neurons, sizes, neurons, first);
    onBatches?.(first + sizes.length, batches);
  }
  return { batches, heads, neurons };
}

/**
 * The diagonal of the empirical Fisher information: squared mini-batch gradients, summed.
 *
 * @throws EspalierError ERR_NON_FINITE when a gradient is NaN or infinite
 */
export function fisherDiagonal({ batches, heads, neurons }: MiniBatchGradients): UnitValues {
  return { heads: sumOfSquares(heads, batches), neurons: sumOfSquares(neurons, batches) };
}

/** Writes sums over mini-batches of the given sizes as means, from row `first` of `means` on. */
function copyMeans(sums: Float32Array, sizes: readonly number[], means: Float32Array, first: number): void {
  const units = sums.length / sizes.length;
  for (const [row, size] of sizes.entries()) {
    for (let unit = 0; unit < units; unit++) {
      means[(first + row) * units + unit] = (sums[row * units + unit] as number) / size;
    }
  }
}

function sumOfSquares(gradients: Float32Array, batches: number): Float64Array {
  const units = gradients.length / batches;
  const sums = new Float64Array(units);
  for (const [index, gradient] of gradients.entries()) {
    const unit = index % units;
    sums[unit] = (sums[unit] as number) + gradient ** 2;
  }
  if (!sums.every(Number.isFinite)) {
    throw new EspalierError(
      'ERR_NON_FINITE',
      'a mask gradient is not a finite number (check the checkpoint and labels)',
    );
  }
  return sums;
}
