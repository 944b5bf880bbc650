import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Encoding, loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { repoRoot } from '../support/paths.js';

interface Golden {
  madeBy: string;
  groups: {
    name: string;
    /** A tokenizer.json, and the fields of it that the group replaces. */
    tokenizer: string;
    changes: Record<string, unknown>;
    /** With a stride the encodings are those of all windows. */
    cases: { text: string; pair?: string; maxLength?: number; stride?: number; encodings: Encoding[] }[];
  }[];
}

const read = (path: string) => JSON.parse(readFileSync(join(repoRoot, path), 'utf8'));
const golden: Golden = read('test/golden/tokenizer.json');

for (const { name, tokenizer: path, changes, cases } of golden.groups) {
  t.test(`ids, types, sequences and offsets equal the Rust library's: ${name}`, async (t) => {
    const directory = t.testdir({ 'tokenizer.json': JSON.stringify({ ...read(path), ...changes }) });
    const tokenizer = await loadTokenizer(directory);
    for (const [index, { text, pair, maxLength, stride, encodings }] of cases.entries()) {
      const received =
        stride === undefined
          ? [tokenizer.encode(text, pair, { maxLength })]
          : tokenizer.encodeWindows(text, pair as string, { maxLength: maxLength as number, stride });
      t.strictSame(received, encodings, `case ${index}`, { text, pair, maxLength, stride, madeBy: golden.madeBy });
    }
  });
}
