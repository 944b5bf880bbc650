import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TokenPruning } from '../../../src/native/addon.js';
import { repoRoot, sentimentMini } from '../../support/paths.js';
import { writeTinyQuestionAnswering } from '../../support/tiny-question-answering.js';

const readConfig = (directory: string) => JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8'));

/** What config.json says of a checkpoint that espalier made. */
export const settingsOf = (directory: string): Record<string, unknown> => readConfig(directory).espalier;

/** sentiment-mini, that drops tokens. */
export function writeDropping(directory: string, { rule, values }: TokenPruning): string {
  cpSync(sentimentMini, directory, { recursive: true });
  const settings = {
    format: 1,
    heads_per_layer: values.map(() => 6),
    neurons_per_layer: values.map(() => 768),
    [rule === 'threshold' ? 'token_thresholds' : 'token_keep_rates']: values,
  };
  const config = { ...readConfig(directory), espalier: settings };
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
  return directory;
}

/** A random model of one value with a tokenizer of single characters. */
export function writeTinyRegression(directory: string): string {
  writeTinyQuestionAnswering(directory);
  cpSync(join(repoRoot, 'test/golden/regression'), directory, { recursive: true });
  return directory;
}
