import { dirname } from 'node:path';
import t from 'tap';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { byteLevelBpe, sentimentMini } from '../support/paths.js';

const CHARACTERS = 300_000;

// Work that grows with the square of a length would run into the time limit of the test.
for (const [name, directory] of [
  ['WordPiece', sentimentMini],
  ['byte-level BPE', dirname(byteLevelBpe)],
] as const) {
  t.test(`${name} ends on a long text, whatever it is made of`, async (t) => {
    const tokenizer = await loadTokenizer(directory);
    for (const unit of [
      'a',
      'the',
      'é',
      '😀',
      '\u0301\u0323',
      '[CLS]',
      '<mask',
      ' ',
      ' <mask>',
      'ab ',
      "'",
      '\ud800',
    ]) {
      const text = unit.repeat(CHARACTERS / unit.length);
      const { ids, starts, ends } = tokenizer.encode(text);
      const last = ids.length - 2;
      t.ok(ids.length >= 2 && (starts[last] as number) <= (ends[last] as number), JSON.stringify(unit));
      if (last > 0) t.ok((ends[last] as number) <= text.length);
    }
  });
}
