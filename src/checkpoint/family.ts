import type { ModelSpec } from '../native/addon.js';

/** What a model family calls its settings and tensors. */
export interface Family {
  /** `model_type` in config.json. */
  name: 'bert';
  /** The one class in config.json's `architectures` that is read. */
  architecture: string;
  /** Stands before the encoder's tensor names, or is left out of all of them. */
  prefix: string;
  /** The encoder of a config.json. Throws ERR_CHECKPOINT for broken settings and ERR_UNSUPPORTED for foreign ones. */
  readEncoder(config: Record<string, unknown>): Omit<ModelSpec, 'labels' | 'head'>;
  /** The stored name of a role, without the prefix. */
  tensorName(role: string): string;
}
