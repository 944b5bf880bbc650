import { dirname } from 'node:path';
import t from 'tap';
import { type Encoding, loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { byteLevelBpe, sentimentMini } from '../support/paths.js';

const question = 'who was the man in the film?';
const context = 'The film was long, and nobody saw the man. '.repeat(6);

/** Starts of the tokens of one of the two texts. */
const startsOf = ({ sequences, starts }: Encoding, sequence: number) =>
  starts.filter((_, token) => sequences[token] === sequence);

for (const [name, directory] of [
  ['WordPiece', sentimentMini],
  ['byte-level BPE', dirname(byteLevelBpe)],
] as const) {
  const tokenizer = await loadTokenizer(directory);
  const whole = tokenizer.encode(question, context);
  const asked = startsOf(whole, 0);
  const all = startsOf(whole, 1);
  const specials = whole.ids.length - asked.length - all.length;

  t.test(`${name}: windows cover the context, neighbours share the stride, each holds the question`, (t) => {
    for (const [maxLength, stride] of [
      [64, 0],
      [64, 7],
      [asked.length + specials + 1, 0],
      [asked.length + specials + 9, 8],
    ] as const) {
      const windows = tokenizer.encodeWindows(question, context, { maxLength, stride });
      const room = maxLength - specials - asked.length;
      t.equal(windows.length, Math.ceil((all.length - stride) / (room - stride)), `${windows.length} windows`);
      for (const [index, window] of windows.entries()) {
        const first = index * (room - stride);
        t.strictSame(startsOf(window, 0), asked);
        t.strictSame(startsOf(window, 1), all.slice(first, first + room));
      }
    }
    t.end();
  });

  t.test(`${name}: a context that fits is one window, an empty one too`, (t) => {
    const options = { maxLength: whole.ids.length, stride: 128 };
    t.strictSame(tokenizer.encodeWindows(question, context, options), [whole], 'whatever the stride');
    const shorter = { maxLength: whole.ids.length - 1, stride: 0 };
    t.equal(tokenizer.encodeWindows(question, context, shorter).length, 2, 'one token too many: two windows');
    t.strictSame(tokenizer.encodeWindows(question, '', options), [tokenizer.encode(question, '')]);
    const tight = { maxLength: asked.length + specials, stride: 0 };
    t.strictSame(
      tokenizer.encodeWindows(question, '', tight),
      [tokenizer.encode(question, '')],
      'no room, none needed',
    );
    t.end();
  });

  const smallest = asked.length + specials;
  const refused: [what: string, maxLength: number, stride: number, code: string, message: RegExp][] = [
    ['no room', smallest, 0, 'ERR_DATA', /leaves 0 tokens for the context/],
    ['a question longer than the window', specials + 1, 0, 'ERR_DATA', /leaves 0 tokens for the context/],
    ['a stride of the room', smallest + 8, 8, 'ERR_DATA', /leaves 8 tokens .* stride of 8 needs more/],
    ['a stride above the room', smallest + 8, 128, 'ERR_DATA', /leaves 8 tokens .* stride of 128 needs more/],
    ['no length', Number.NaN, 0, 'ERR_INVALID_ARGUMENT', /maxLength/],
    ['a length below the special tokens', specials - 1, 0, 'ERR_INVALID_ARGUMENT', /maxLength/],
    ['a negative stride', 64, -1, 'ERR_INVALID_ARGUMENT', /stride/],
    ['a fractional stride', 64, 1.5, 'ERR_INVALID_ARGUMENT', /stride/],
    ['no stride', 64, Number.NaN, 'ERR_INVALID_ARGUMENT', /stride/],
  ];
  t.test(`${name}: windows are refused where they cannot be`, (t) => {
    for (const [what, maxLength, stride, code, message] of refused) {
      t.throws(() => tokenizer.encodeWindows(question, context, { maxLength, stride }), { code, message }, what);
    }
    t.end();
  });
}
