import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { sentimentMini } from '../support/paths.js';

const tokenizer = await loadTokenizer(sentimentMini);
const TEXTS = ['', 'A Good film!', 'déjà vu 漢字 😀 [SEP] [MASK]', 'unfathomably\u0000 odd\ttext', 'ŁÓDŹ'.repeat(30)];

t.test('vocab.txt gives the same tokens as tokenizer.json', async (t) => {
  const directory = t.testdir();
  copyFileSync(join(sentimentMini, 'vocab.txt'), join(directory, 'vocab.txt'));
  const standard = await loadTokenizer(directory);
  copyFileSync(join(sentimentMini, 'tokenizer_config.json'), join(directory, 'tokenizer_config.json'));
  const configured = await loadTokenizer(directory);
  t.equal(configured.vocabulary.size, tokenizer.vocabulary.size);
  for (const text of TEXTS) {
    const expected = tokenizer.encode(text, 'a film', { maxLength: 20 });
    t.strictSame(configured.encode(text, 'a film', { maxLength: 20 }), expected);
    t.strictSame(standard.encode(text, 'a film', { maxLength: 20 }), expected);
  }
});

t.test('tokenizer_config.json governs how vocab.txt is used', async (t) => {
  const vocabulary = ['[PAD]', '<unk>', '[CLS]', '[SEP]', '[MASK]', 'É', 'E', '漢字', 'é'].join('\r\n');
  const encode = async (config: object): Promise<number[]> => {
    const directory = t.testdir({
      'vocab.txt': vocabulary,
      'tokenizer_config.json': JSON.stringify({ unk_token: { content: '<unk>', lstrip: false }, ...config }),
    });
    return (await loadTokenizer(directory)).encode('É 漢字').ids.slice(1, -1);
  };
  t.strictSame(await encode({ do_lower_case: false }), [5, 1, 1]);
  t.strictSame(await encode({ do_lower_case: false, strip_accents: true }), [6, 1, 1]);
  t.strictSame(await encode({ strip_accents: false, tokenize_chinese_chars: false }), [8, 7]);
});

t.test('truncation and padding stored in tokenizer.json do not leak in', async (t) => {
  const file = JSON.parse(readFileSync(join(sentimentMini, 'tokenizer.json'), 'utf8'));
  file.truncation = { direction: 'Left', max_length: 4, strategy: 'OnlyFirst', stride: 0 };
  file.padding = { strategy: { Fixed: 64 }, direction: 'Right', pad_id: 0, pad_type_id: 0, pad_token: '[PAD]' };
  const directory = t.testdir({ 'tokenizer.json': JSON.stringify(file) });
  const text = 'a good film '.repeat(50);
  t.strictSame((await loadTokenizer(directory)).encode(text), tokenizer.encode(text));
  t.equal(tokenizer.encode(text).ids.length, 152);
});

t.test('offsets cut the very characters of a token out of a JavaScript string', (t) => {
  const first = '😀😀 Café film';
  const second = '𝔘 good';
  const { starts, ends, typeIds } = tokenizer.encode(first, second);
  const cut = starts.map((start, token) => (typeIds[token] === 0 ? first : second).slice(start, ends[token]));
  t.strictSame(cut.slice(0, 1), ['']);
  for (const word of ['😀😀', 'film', '𝔘', 'good']) t.ok(cut.includes(word), word);
  t.match(cut.join(''), /Café/);
  t.end();
});

t.test('a lone surrogate counts as U+FFFD', async (t) => {
  t.strictSame(tokenizer.encode('go\ud800od \udc00film\ud83d'), tokenizer.encode('go\ufffdod \ufffdfilm\ufffd'));
  t.strictSame(tokenizer.encode('\ud800').ids, tokenizer.encode('').ids, 'cleaned away');
  const file = JSON.parse(readFileSync(join(sentimentMini, 'tokenizer.json'), 'utf8'));
  file.normalizer.clean_text = false;
  const uncleaned = await loadTokenizer(t.testdir({ 'tokenizer.json': JSON.stringify(file) }));
  t.strictSame(uncleaned.encode('go\ud800od'), uncleaned.encode('go\ufffdod'));
  t.equal(uncleaned.encode('\ud800').ids.length, 3, 'an unknown word where cleaning is off');
});

t.test('maxLength counts the special tokens and must hold them', (t) => {
  t.equal(tokenizer.encode('a good film', undefined, { maxLength: 4 }).ids.length, 4);
  t.equal(tokenizer.encode('a good film', 'a story', { maxLength: 3 }).ids.length, 3);
  for (const [pair, maxLength] of [
    [undefined, 1],
    ['x', 2],
    ['x', 3.5],
    ['x', -1],
    ['x', Number.NaN],
  ] as const) {
    t.throws(() => tokenizer.encode('a', pair, { maxLength }), { code: 'ERR_INVALID_ARGUMENT', message: /maxLength/ });
  }
  t.end();
});

t.test('repeated encoding does not change what the word cache gives back', (t) => {
  const once = tokenizer.encode('good unfathomable film');
  const expected = structuredClone(once);
  once.ids.fill(-1);
  once.ends.fill(-1);
  t.strictSame(tokenizer.encode('good unfathomable film'), expected);
  for (let word = 0; word < 70_000; word++) tokenizer.encode(`w${word}`);
  t.strictSame(tokenizer.encode('good unfathomable film'), expected, 'also after the cache was full');
  t.end();
});

t.test('added tokens extend the vocabulary', async (t) => {
  const file = JSON.parse(readFileSync(join(sentimentMini, 'tokenizer.json'), 'utf8'));
  file.added_tokens.push({ ...file.added_tokens[0], id: tokenizer.vocabulary.size, content: '<ent>' });
  const directory = t.testdir();
  writeFileSync(join(directory, 'tokenizer.json'), JSON.stringify(file));
  const extended = await loadTokenizer(directory);
  t.equal(extended.vocabulary.size, tokenizer.vocabulary.size + 1);
  t.equal(extended.encode('x<ent>').ids[2], tokenizer.vocabulary.size);
});

t.test('added tokens of tokenizer_config.json extend a vocab.txt', async (t) => {
  const directory = t.testdir({
    'vocab.txt': readFileSync(join(sentimentMini, 'vocab.txt')),
    'tokenizer_config.json': JSON.stringify({
      added_tokens_decoder: { [tokenizer.vocabulary.size]: { content: '<ent>', lstrip: true } },
    }),
  });
  const extended = await loadTokenizer(directory);
  t.equal(extended.vocabulary.size, tokenizer.vocabulary.size + 1);
  t.strictSame(extended.encode('film  <ent>').ends, [0, 4, 11, 0]);
  t.equal(extended.encode('film  <ent>').ids[2], tokenizer.vocabulary.size);
});
