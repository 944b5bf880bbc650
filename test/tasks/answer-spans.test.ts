import t from 'tap';
import { chooseAnswer, type ScoredWindow, tokensOf } from '../../src/tasks/answer-spans.js';
import type { Encoding } from '../../src/tokenizer/tokenizer.js';
import { readSquadGolden } from '../support/squad-golden.js';

/** A window: `before` tokens of no context, then tokens of two characters with one between them, then one more special. */
function encoding(before: number, count: number, offset = 0): Encoding {
  const tokens = Array.from({ length: before + count + 1 }, (_, token) => token - before);
  const inContext = (token: number) => token >= 0 && token < count;
  const place = (token: number, more: number) => (inContext(token) ? offset + 3 * token + more : 0);
  return {
    ids: tokens.map(() => 7),
    typeIds: tokens.map(() => 0),
    sequences: tokens.map((token) => (inContext(token) ? 1 : -1)),
    starts: tokens.map((token) => place(token, 0)),
    ends: tokens.map((token) => place(token, 2)),
  };
}

/** start and end logits of each token */
const window = (before: number, logits: [number, number][], offset = 0): ScoredWindow => ({
  encoding: encoding(before, logits.length - before - 1, offset),
  logits: Float32Array.from(logits.flat()),
});

for (const [mode, unanswerable] of [['squad', false] as const, ['squad_v2', true] as const]) {
  t.test(`${mode}: spans are chosen from random and tied logits as the published example does`, async (t) => {
    for (const [index, { windows, ...golden }] of readSquadGolden().spans.entries()) {
      const scored = windows.map(({ logits, context: [first, count], offset }) => ({
        encoding: encoding(first, count, offset),
        logits: Float32Array.from(logits),
      }));
      const { start, end, probability } = chooseAnswer(scored, unanswerable);
      const expected = golden[mode];
      t.strictSame([start, end], [expected.start, expected.end], `question ${index}`);
      t.ok(Math.abs(probability - expected.probability) < 1e-9, `question ${index}: ${probability}`);
    }
  });
}

t.test('an answer lies in the context, whatever the logits outside', async (t) => {
  const answer = chooseAnswer(
    [
      window(2, [
        [9, 9],
        [8, 8],
        [0, 1],
        [2, 0],
        [1, 3],
        [9, 9],
      ]),
    ],
    false,
  );
  t.match(answer, { start: 3, end: 8 });
});

t.test('an answer has 30 tokens at most', async (t) => {
  const logits = Array.from({ length: 60 }, (): [number, number] => [0, 0]);
  logits[2] = [9, 0];
  logits[31] = [0, 5];
  logits[32] = [0, 9];
  t.match(chooseAnswer([window(2, logits)], false), { start: 0, end: 3 * 29 + 2 }, 'the 30th token, not the 31st');
});

t.test('no answer wins above the best answer only, with the score of its worst window', async (t) => {
  const of = (none: number, offset: number) =>
    window(
      1,
      [
        [none, 0],
        [2, 2],
        [0, 0],
      ],
      offset,
    );
  t.match(chooseAnswer([of(4, 5)], true), { start: 5, end: 7 }, 'equal scores');
  t.match(chooseAnswer([of(4.5, 5)], true), { start: 0, end: 0 });
  t.match(chooseAnswer([of(9, 5), of(3, 50)], true), { start: 5, end: 7 });
  t.match(chooseAnswer([of(9, 5)], false), { start: 5, end: 7 });
});

t.test('an empty context has no answer', async (t) => {
  const empty = window(2, [
    [-9, -9],
    [1, 1],
    [2, 2],
  ]);
  t.strictSame(chooseAnswer([empty], false), { start: 0, end: 0, probability: 1 });
  t.strictSame(chooseAnswer([empty], true), { start: 0, end: 0, probability: 1 });
  t.strictSame(tokensOf({ start: 0, end: 1 }, empty.encoding), [0, 0]);
});

t.test('the tokens of an answer are those that hold it, in a window that has all of it', async (t) => {
  const five = encoding(3, 5, 30);
  for (const [start, end, tokens] of [
    [30, 32, [3, 3]],
    [33, 38, [4, 5]],
    [34, 37, [4, 5]],
    [42, 44, [7, 7]],
    [30, 44, [3, 7]],
    [32, 36, [3, 5]],
    [29, 32, [0, 0]],
    [42, 45, [0, 0]],
    [0, 2, [0, 0]],
    [60, 62, [0, 0]],
  ] as const) {
    t.strictSame(tokensOf({ start, end }, five), tokens, `${start} to ${end}`);
  }
  t.strictSame(tokensOf(undefined, five), [0, 0], 'no answer');
});
