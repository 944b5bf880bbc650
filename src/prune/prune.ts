import type { KeptUnits, LossKind, Mask } from '../native/addon.js';
import type { CallOptions } from '../native/call.js';
import { EspalierError } from '../native/errors.js';
import type { Model } from '../native/model.js';
import type { OnProgress } from '../progress.js';
import { compact, keptUnits } from './compact.js';
import { type Calibration, fisherDiagonal, miniBatchGradients } from './fisher.js';
import { modelMacs, unitMacs } from './macs.js';
import { rearrange } from './rearrange.js';
import { searchUnderMacs } from './search-macs.js';
import { type TunedSublayer, tune } from './tune.js';

export type PruneStage = 'gradients' | 'search' | 'rearrange' | 'tune';

export interface PruneModelOptions extends CallOptions {
  preset: 'kwon';
  /** The part of the model's multiply-accumulates to keep, above 0 and at most 1. */
  keep: number;
  loss: LossKind;
  /** Samples of a mini-batch, whose size is part of the method: 32 for GLUE. */
  batchSize: number;
  /** Average tokens of a sequence, for the multiply-accumulates. */
  sequenceLength: number;
  onProgress?: OnProgress | undefined;
  /** Called after a step with the model as it then is, compacted; the model is valid until the promise settles. */
  onStage?: ((stage: PruneStage, model: Model) => Promise<void>) | undefined;
}

export interface PruneOutcome {
  /** Compacted and tuned, open for inference. Its owner disposes it. */
  model: Model;
  /** What each step chose, over the units of the model that was given. */
  masks: { search: Mask; rearrange: Mask; teacher: Mask };
  /** The units of the given model that are left. */
  kept: KeptUnits;
  /** Multiply-accumulates of a sequence of average length, and the part that is left. */
  macs: { before: number; after: number; kept: number };
  /** The sub-layers that had scales to tune, in order. */
  tuned: TunedSublayer[];
  /** What the user should know, one sentence each. */
  warnings: string[];
  /** Of each step, without onStage. */
  seconds: Record<PruneStage, number>;
}

/**
 * Kwon et al. 2022 (arXiv 2204.09656), "A Fast Post-Training Pruning Framework for Transformers": removes the heads and
 * neurons whose loss the Fisher information says hurts least, then rescales what is left. The given model is not changed.
 *
 * @throws EspalierError ERR_OPTION on bad options, ERR_DATA without samples, ERR_NON_FINITE on gradients that are not
 *   finite, ERR_CANCELLED
 */
export async function pruneModel(
  model: Model,
  calibration: Calibration,
  options: PruneModelOptions,
): Promise<PruneOutcome> {
  checkOptions(calibration, options);
  const { keep, loss, batchSize, sequenceLength, signal, onStage } = options;
  const { spec } = model;
  const steps = new Steps(options);

  const gradients = await steps.run('gradients', (onBatches) =>
    miniBatchGradients(model, calibration, { loss, batchSize, signal, onBatches }),
  );
  const [searched, teacher] = await steps.run('search', async () => {
    const fisher = fisherDiagonal(gradients);
    const macs = unitMacs(spec, sequenceLength);
    return [searchUnderMacs(fisher, macs, keep), searchUnderMacs(fisher, macs, Math.sqrt(keep))] as const;
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
    const before = modelMacs(spec, sequenceLength);
    const after = modelMacs(student.spec, sequenceLength);
    return {
      model: student,
      masks: { search: searched, rearrange: rearranged, teacher },
      kept: keptUnits(rearranged, spec.layers),
      macs: { before, after, kept: before === 0 ? 1 : after / before },
      tuned,
      warnings: tuned.flatMap(warningOf),
      seconds: steps.seconds,
    };
  } catch (error) {
    student.dispose();
    throw error;
  }
}

/** Times the steps and tells the caller about them. */
class Steps {
  readonly seconds: Record<PruneStage, number> = { gradients: 0, search: 0, rearrange: 0, tune: 0 };

  constructor(private readonly options: Pick<PruneModelOptions, 'onProgress' | 'onStage'>) {}

  async run<T>(stage: PruneStage, work: (report: (done: number, total: number) => void) => Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await work((done, total) => this.options.onProgress?.({ stage, done, total }));
    this.seconds[stage] = (performance.now() - start) / 1000;
    return result;
  }

  async show(stage: PruneStage, model: Model, mask: Mask): Promise<void> {
    if (this.options.onStage === undefined) return;
    using masked = await compact(model, mask, 'inference');
    await this.options.onStage(stage, masked);
  }
}

function warningOf({ layer, sublayer, problem }: TunedSublayer): string[] {
  return problem === undefined ? [] : [`the ${sublayer} of layer ${layer} was not tuned: ${problem}`];
}

function checkOptions({ batch, labels }: Calibration, options: PruneModelOptions): void {
  const { preset, keep, loss, batchSize, sequenceLength } = options;
  const check = (valid: boolean, name: string, wanted: string, value: unknown) => {
    if (!valid) throw new EspalierError('ERR_OPTION', `${name} must be ${wanted}, not ${value}`);
  };
  check(preset === 'kwon', 'preset', '"kwon"', preset);
  check(keep > 0 && keep <= 1, 'keep', 'above 0 and at most 1', keep);
  check(Number.isInteger(batchSize) && batchSize > 0, 'batchSize', 'a positive whole number', batchSize);
  check(sequenceLength > 0 && Number.isFinite(sequenceLength), 'sequenceLength', 'a positive number', sequenceLength);
  const samples = batch.offsets.length - 1;
  if (samples < 1) throw new EspalierError('ERR_DATA', 'there are no samples to calibrate on');
  const wanted = loss === 'span' ? 2 * samples : samples;
  if (labels.length !== wanted) {
    throw new EspalierError('ERR_DATA', `${samples} calibration samples need ${wanted} labels, not ${labels.length}`);
  }
}
