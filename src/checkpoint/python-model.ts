import { join } from 'node:path';
import type { ModelSpec } from '../native/addon.js';
import { packageRoot } from '../package-root.js';
import type { Checkpoint } from './checkpoint.js';

/** Python that lies beside pruned weights and makes transformers load them at their true size. */
export const modelingFile = join(packageRoot, 'src/checkpoint/modeling_espalier.py');

/** Which of transformers' Auto classes loads such a model. */
export function autoClass({ head }: Pick<ModelSpec, 'head'>): string {
  return head === 'span' ? 'AutoModelForQuestionAnswering' : 'AutoModelForSequenceClassification';
}

/** `auto_map` of config.json: the class in that file that each of transformers' Auto classes loads. */
export function autoMap({ modelClass, spec }: Pick<Checkpoint, 'modelClass' | 'spec'>): Record<string, string> {
  return { [autoClass(spec)]: `modeling_espalier.${modelClass}` };
}
