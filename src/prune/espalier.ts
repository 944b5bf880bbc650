import type { PackedBatch } from '../native/addon.js';
import type { Model } from '../native/model.js';
import { compact, keptUnits } from './compact.js';
import { macsCost } from './cost.js';
import { type ErrorCurve, errorCurves } from './error-curves.js';
import { outputMoments } from './label-free.js';
import { macsKept } from './macs.js';
import type { PruneModelOptions, PruneOutcome, PruneTo } from './preset.js';
import { reconstruct } from './reconstruct.js';
import { maskWithout, shareOut } from './share-out.js';
import { Steps } from './steps.js';

export interface EspalierOptions extends Omit<PruneModelOptions, 'preset' | 'batchSize'> {
  /** Parts of the method to leave out, to see what they are worth. */
  without?: readonly EspalierPart[] | undefined;
}

/**
 * `moments`: the weighing of errors by the loss gradient; `allocation`: the sharing out of the budget, without which every
 * sub-layer keeps the same part; `inputs`: new input projections; `outputs`: new output projections.
 */
export type EspalierPart = 'moments' | 'allocation' | 'inputs' | 'outputs';

/**
 * The package's own method: every sub-layer's error curve by optimal brain surgeon, weighted by what the loss feels; the
 * budget shared out between the sub-layers by dynamic programming on these curves; everything that is left solved anew
 * by least squares. It needs samples of the task's text but no labels. docs/accuracy.md says what each part is worth.
 */
export async function studyEspalier(
  model: Model,
  batch: PackedBatch,
  options: Omit<EspalierOptions, 'keep'>,
): Promise<PruneTo> {
  const steps = new Steps(options);
  const curves = await measureCurves(model, batch, options, steps);
  return (keep, listeners) =>
    pruneOnCurves(model, batch, curves, { ...options, ...listeners, keep }, steps.goOn(listeners));
}

/** The error curves of a model's sub-layers, which serve any number of budgets. */
export async function measureCurves(
  model: Model,
  batch: PackedBatch,
  options: Omit<EspalierOptions, 'keep'>,
  steps: Steps = new Steps(options),
): Promise<ErrorCurve[]> {
  const { loss, seed, without, signal } = options;
  using moments = await steps.run('gradients', async (onSamples) =>
    without?.includes('moments') ? undefined : outputMoments(model, batch, { loss, seed, signal, onSamples }),
  );
  return await steps.run('curves', (onSublayers) => errorCurves(model, batch, moments, { signal, onSublayers }));
}

/** Everything after the curves. */
export async function pruneOnCurves(
  model: Model,
  batch: PackedBatch,
  curves: readonly ErrorCurve[],
  options: EspalierOptions,
  steps: Steps = new Steps(options),
): Promise<PruneOutcome> {
  const { keep, costs, sequenceLength, without, signal, onStage } = options;
  const { spec } = model;
  const mask = await steps.run('allocate', async () => {
    const removed = without?.includes('allocation')
      ? curves.map(({ order }) => Math.ceil((1 - keep) * order.length))
      : shareOut(curves, keep, costs ?? macsCost(spec, sequenceLength));
    return maskWithout(removed, curves, spec.layers);
  });
  await steps.show('allocate', model, mask);

  const student = await compact(model, mask, 'inference');
  try {
    await steps.run('reconstruct', async (onSublayers) => {
      // A model that lost nothing has nothing to make up for.
      if (keep < 1) await reconstruct(student, model, batch, { without, signal, onSublayers });
    });
    await onStage?.('reconstruct', student);
    return {
      model: student,
      kept: keptUnits(mask, spec.layers),
      macs: macsKept(spec, student.spec, sequenceLength),
      warnings: [],
      seconds: steps.seconds,
    };
  } catch (error) {
    student.dispose();
    throw error;
  }
}
