import { checkKeep } from '../prune/prune.js';
import type { LoadedModel } from './model.js';
import { type PruneResult, PruneStudy, type StudyOptions } from './prune-study.js';

export interface PruneOptions extends StudyOptions {
  /** The part of the layers' multiply-accumulates, or of the whole latency, to keep, above 0 and at most 1. */
  keep: number;
}

/**
 * Removes the heads and neurons that matter least to the task until `keep` of the multiply-accumulates are left, without
 * training: by this package's own method, or by Kwon et al. 2022 (arXiv 2204.09656). The given model is not changed.
 *
 * @throws EspalierError ERR_OPTION, ERR_TASK, ERR_DATA, ERR_NON_FINITE, ERR_OUT_OF_MEMORY, ERR_CANCELLED
 */
export async function prune(model: LoadedModel, { keep, ...options }: PruneOptions): Promise<PruneResult> {
  checkKeep(keep);
  const study = await PruneStudy.prepare(model, options);
  return study.prune(keep);
}
