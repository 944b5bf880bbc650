import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

function findRepoRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory);
  return directory;
}

/** The checkout's root; tests run from dist/, fixtures stay in test/. */
export const repoRoot = findRepoRoot();

/** Models and data that are not part of the project; tests that need them skip where they are absent. */
export const sharedDir = process.env.ESPALIER_SHARED ?? resolve(repoRoot, '../shared');
export const hasShared = existsSync(join(sharedDir, 'models'));

export const sharedPath = (...parts: string[]): string => join(sharedDir, ...parts);

/** The bundled checkpoint. */
export const sentimentMini = join(repoRoot, 'models', 'sentiment-mini');

/** A small byte-level BPE with RoBERTa's special tokens. */
export const byteLevelBpe = join(repoRoot, 'test/golden/byte-level-bpe/tokenizer.json');

/** Labelled sentences of the demo. */
export const demoData = (name: 'train' | 'eval'): string => join(repoRoot, 'demo', `${name}.tsv`);
