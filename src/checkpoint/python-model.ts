import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Checkpoint } from './checkpoint.js';

// The package refers to itself by name: the same file from src/ as from dist/.
const packageRoot = dirname(createRequire(import.meta.url).resolve('espalier/package.json'));

/** Python that lies beside pruned weights and makes transformers load them at their true size. */
export const modelingFile = join(packageRoot, 'src/checkpoint/modeling_espalier.py');

/** `auto_map` of config.json: the class in that file that each of transformers' Auto classes loads. */
export function autoMap({ modelClass, spec }: Pick<Checkpoint, 'modelClass' | 'spec'>): Record<string, string> {
  const head = spec.head === 'span' ? 'QuestionAnswering' : 'SequenceClassification';
  return { [`AutoModelFor${head}`]: `modeling_espalier.${modelClass}` };
}
