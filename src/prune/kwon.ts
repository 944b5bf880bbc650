import type { Mask } from '../native/addon.js';
import type { Model } from '../native/model.js';
import { compact, keptUnits } from './compact.js';
import { type Calibration, fisherDiagonal, type MiniBatchGradients, miniBatchGradients } from './fisher.js';
import { macsKept, unitMacs } from './macs.js';
import type { PruneModelOptions, PruneOutcome, PruneTo } from './preset.js';
import { rearrange } from './rearrange.js';
import { searchUnderCosts } from './search-costs.js';
import { searchUnderMacs } from './search-macs.js';
import { Steps } from './steps.js';
import { type TunedSublayer, tune } from './tune.js';

export type KwonOptions = Omit<PruneModelOptions, 'preset' | 'seed'>;

export interface KwonOutcome extends PruneOutcome {
  /** What each step chose, over the units of the model that was given. */
  masks: { search: Mask; rearrange: Mask; teacher: Mask };
  /** The sub-layers that had scales to tune, in order. */
  tuned: TunedSublayer[];
}

/**
 * Kwon et al. 2022 (arXiv 2204.09656), "A Fast Post-Training Pruning Framework for Transformers": removes the heads and
 * neurons whose loss the Fisher information says hurts least, then rescales what is left.
 */
export async function studyKwon(
  model: Model,
  calibration: Calibration,
  options: Omit<KwonOptions, 'keep'>,
): Promise<PruneTo<KwonOutcome>> {
  const { loss, batchSize, signal } = options;
  const steps = new Steps(options);
  const gradients = await steps.run('gradients', (onBatches) =>
    miniBatchGradients(model, calibration, { loss, batchSize, signal, onBatches }),
  );
  return (keep, listeners) =>
    pruneOnGradients(model, calibration, gradients, { ...options, ...listeners, keep }, steps.goOn(listeners));
}

/** Everything after the gradients. */
export async function pruneOnGradients(
  model: Model,
  calibration: Calibration,
  gradients: MiniBatchGradients,
  options: KwonOptions,
  steps: Steps = new Steps(options),
): Promise<KwonOutcome> {
  const { keep, costs, sequenceLength, signal, onStage } = options;
  const { spec } = model;
  const [searched, teacher] = await steps.run('search', async () => {
    const fisher = fisherDiagonal(gradients);
    const search = (part: number) =>
      costs === undefined
        ? searchUnderMacs(fisher, unitMacs(spec, sequenceLength), part)
        : searchUnderCosts(fisher, spec.layers, costs, part);
    return [search(keep), search(Math.sqrt(keep))] as const;
  });
  await steps.show('search', model, searched);

  const rearranged = await steps.run('rearrange', (onLayers) =>
    rearrange(searched, gradients, spec.layers, { signal, onLayers }),
  );
  await steps.show('rearrange', model, rearranged);

  const student = await compact(model, rearranged, 'inference');
  try {
    const tuned = await steps.run('tune', async (onSublayers) =>
      // A model that lost nothing has nothing to make up for.
      keep === 1 ? [] : tune(student, model, teacher, calibration.batch, { signal, onSublayers }),
    );
    await onStage?.('tune', student);
    return {
      model: student,
      masks: { search: searched, rearrange: rearranged, teacher },
      kept: keptUnits(rearranged, spec.layers),
      macs: macsKept(spec, student.spec, sequenceLength),
      tuned,
      warnings: tuned.flatMap(warningOf),
      seconds: steps.seconds,
    };
  } catch (error) {
    student.dispose();
    throw error;
  }
}

function warningOf({ layer, sublayer, problem }: TunedSublayer): string[] {
  return problem === undefined ? [] : [`the ${sublayer} of layer ${layer} was not tuned: ${problem}`];
}
