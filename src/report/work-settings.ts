import type { DistillationWeights, Precision } from '../native/addon.js';
import type { Reading } from '../tasks/task.js';

/** Which model. What goes by the same name may be another one the next time: a hash of all it computes with tells. */
export interface ModelIdentity {
  checkpoint: string;
  sha256: string;
}

/** Which examples. */
export interface DataIdentity {
  /** Where they are no file's, it is left out. */
  file?: string;
  count: number;
  sha256: string;
}

/** A model that another one learns from. */
export type TeacherIdentity = ModelIdentity & Partial<DistillationWeights>;

/** What has to be the same for work on a model and its training data to go on with earlier results. */
export interface WorkSettings extends Reading {
  model: ModelIdentity;
  task: string;
  train: DataIdentity;
  precision: Precision;
}
