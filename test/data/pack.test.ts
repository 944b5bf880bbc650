import t from 'tap';
import { packExamples } from '../../src/data/pack.js';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.js';

/** One token a character between the specials 1 and 2, the pair of type 1. */
const tokenizer = {
  vocabularySize: 0x10000,
  encode: (text: string, pair = '', { maxLength = Number.POSITIVE_INFINITY } = {}) => {
    const ids = [1, ...`${text}${pair}`].map((token) => (typeof token === 'string' ? token.charCodeAt(0) : token));
    const kept = [...ids.slice(0, maxLength - 1), 2];
    return {
      ids: kept,
      typeIds: kept.map((_, index) => Number(index > text.length)),
      sequences: kept.map(() => 0),
      starts: kept.map(() => 0),
      ends: kept.map(() => 0),
    };
  },
  encodeWindows: () => [],
} satisfies Tokenizer;

t.test('joins sequences without padding', async (t) => {
  const examples = [{ text: 'ab' }, { text: '' }, { text: 'c', pair: 'de' }];
  t.same(packExamples(tokenizer, examples, 128), {
    ids: Int32Array.of(1, 97, 98, 2, 1, 2, 1, 99, 100, 101, 2),
    tokenTypes: Int32Array.of(0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 1),
    offsets: Int32Array.of(0, 4, 6, 11),
  });
});

t.test('cuts every example at the longest length', async (t) => {
  t.same(packExamples(tokenizer, [{ text: 'abcdef' }, { text: 'gh' }], 4).offsets, Int32Array.of(0, 4, 8));
});

t.test('nothing packs to nothing', async (t) => {
  t.same(packExamples(tokenizer, [], 4), {
    ids: new Int32Array(0),
    tokenTypes: new Int32Array(0),
    offsets: Int32Array.of(0),
  });
});
