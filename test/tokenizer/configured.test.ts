import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Encoding, loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { repoRoot } from '../support/paths.js';

interface Golden {
  madeBy: string;
  groups: {
    name: string;
    tokenizer: string;
    /** The fields of the tokenizer.json that the group replaces; null: there is its vocabulary instead of it. */
    changes: Record<string, unknown> | null;
    /** The files beside it. */
    files: Record<string, unknown>;
    vocabularySize: number;
    cases: { text: string; encoding: Encoding }[];
  }[];
}

const read = (path: string) => JSON.parse(readFileSync(join(repoRoot, path), 'utf8'));
const golden: Golden = read('test/golden/tokenizer-config.json');

function vocabularyFiles(model: { vocab: Record<string, number>; merges?: string[][] }): Record<string, string> {
  const { vocab, merges } = model;
  if (merges) {
    const lines = ['#version: 0.2', ...merges.map((pair) => pair.join(' ')), ''];
    return { 'vocab.json': JSON.stringify(vocab), 'merges.txt': lines.join('\n') };
  }
  const tokens = Object.entries(vocab).sort(([, a], [, b]) => a - b);
  return { 'vocab.txt': tokens.map(([token]) => token).join('\n') };
}

for (const { name, tokenizer: path, changes, files, vocabularySize, cases } of golden.groups) {
  t.test(`a directory gives what transformers' AutoTokenizer makes of it: ${name}`, async (t) => {
    const source = read(path);
    const directory = t.testdir({
      ...(changes ? { 'tokenizer.json': JSON.stringify({ ...source, ...changes }) } : vocabularyFiles(source.model)),
      ...Object.fromEntries(Object.entries(files).map(([file, content]) => [file, JSON.stringify(content)])),
    });
    const tokenizer = await loadTokenizer(directory);
    t.equal(tokenizer.vocabulary.size, vocabularySize);
    for (const { text, encoding } of cases) {
      t.strictSame(tokenizer.encode(text), encoding, text, { madeBy: golden.madeBy });
    }
  });
}
