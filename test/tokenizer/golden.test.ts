import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Encoding, loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { repoRoot, sentimentMini } from '../support/paths.js';

interface Golden {
  madeBy: string;
  groups: {
    name: string;
    /** Fields of the tokenizer.json that the group replaces. */
    changes: Record<string, unknown>;
    cases: (Encoding & { text: string; pair?: string; maxLength?: number })[];
  }[];
}

const golden: Golden = JSON.parse(readFileSync(join(repoRoot, 'test/golden/tokenizer.json'), 'utf8'));
const original = JSON.parse(readFileSync(join(sentimentMini, 'tokenizer.json'), 'utf8'));

for (const { name, changes, cases } of golden.groups) {
  t.test(`ids, types and offsets equal the Rust library's: ${name}`, async (t) => {
    const directory = t.testdir({ 'tokenizer.json': JSON.stringify({ ...original, ...changes }) });
    const tokenizer = await loadTokenizer(directory);
    for (const [index, { text, pair, maxLength, ...expected }] of cases.entries()) {
      const input = { text, pair, maxLength, madeBy: golden.madeBy };
      t.strictSame(tokenizer.encode(text, pair, { maxLength }), expected, `case ${index}`, input);
    }
  });
}
