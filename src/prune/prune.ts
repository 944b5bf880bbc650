import { EspalierError } from '../native/errors.js';
import type { Model } from '../native/model.js';
import { studyEspalier } from './espalier.js';
import type { Calibration } from './fisher.js';
import { studyKwon } from './kwon.js';
import { type PruneModelOptions, type PruneOutcome, type PruneTo, presets, type Samples } from './preset.js';

/**
 * Removes heads and neurons and makes up for them, without training. The given model is not changed.
 *
 * @throws EspalierError ERR_OPTION on bad options, ERR_DATA without samples or labels that the preset needs,
 *   ERR_NON_FINITE on gradients that are not finite, ERR_CANCELLED
 */
export async function pruneModel(
  model: Model,
  calibration: Samples,
  options: PruneModelOptions,
): Promise<PruneOutcome> {
  checkKeep(options.keep);
  const pruneTo = await studyModel(model, calibration, options);
  return pruneTo(options.keep, options);
}

/** What a preset measures before the budget matters: it serves any number of budgets. Throws as pruneModel does. */
export async function studyModel(
  model: Model,
  calibration: Samples,
  options: Omit<PruneModelOptions, 'keep'>,
): Promise<PruneTo> {
  checkOptions(calibration, options);
  return options.preset === 'kwon'
    ? studyKwon(model, calibration as Calibration, options)
    : studyEspalier(model, calibration.batch, options);
}

/** Throws ERR_OPTION unless `keep` is above 0 and at most 1. */
export function checkKeep(keep: number): void {
  check(keep > 0 && keep <= 1, 'keep', 'above 0 and at most 1', keep);
}

function check(valid: boolean, name: string, wanted: string, value: unknown): void {
  if (!valid) throw new EspalierError('ERR_OPTION', `${name} must be ${wanted}, not ${value}`);
}

function checkOptions({ batch, labels }: Samples, options: Omit<PruneModelOptions, 'keep'>): void {
  const { preset, loss, batchSize, sequenceLength } = options;
  check(presets.includes(preset), 'preset', presets.map((name) => `"${name}"`).join(' or '), preset);
  check(Number.isInteger(batchSize) && batchSize > 0, 'batchSize', 'a positive whole number', batchSize);
  check(sequenceLength > 0 && Number.isFinite(sequenceLength), 'sequenceLength', 'a positive number', sequenceLength);
  const samples = batch.offsets.length - 1;
  if (samples < 1) throw new EspalierError('ERR_DATA', 'there are no samples to calibrate on');
  if (preset !== 'kwon') return;
  const wanted = loss === 'span' ? 2 * samples : samples;
  if (labels?.length !== wanted) {
    throw new EspalierError(
      'ERR_DATA',
      `${samples} calibration samples need ${wanted} labels, not ${labels?.length ?? 0}`,
    );
  }
}
