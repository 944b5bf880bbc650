import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import t from 'tap';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { byteLevelBpe } from '../support/paths.js';

const tokenizer = await loadTokenizer(dirname(byteLevelBpe));
const content = readFileSync(byteLevelBpe, 'utf8');
const { model } = JSON.parse(content);
const merges: [string, string][] = model.merges;
const TEXTS = ['', 'A  good film!', "déjà vu, they'll 漢字 😀 <mask></s>", ' \n\n tabs\t\tand\u00a0blanks  '];

const files = {
  'vocab.json': JSON.stringify(model.vocab),
  'merges.txt': `#version: 0.2\n${merges.map((pair) => pair.join(' ')).join('\n')}\n`,
};

t.test('vocab.json with merges.txt gives the same tokens as tokenizer.json', async (t) => {
  const loaded = await loadTokenizer(t.testdir(files));
  t.equal(loaded.vocabulary.size, tokenizer.vocabulary.size);
  for (const text of TEXTS) t.strictSame(loaded.encode(text, 'a film'), tokenizer.encode(text, 'a film'));
});

t.test('as in transformers, a merge without a line break after it does not count', async (t) => {
  const ids = async (mergesTxt: string) =>
    (await loadTokenizer(t.testdir({ ...files, 'merges.txt': mergesTxt }))).encode('he').ids.length;
  t.equal(await ids('#version: 0.2\nh e\n'), 3);
  t.equal(await ids('#version: 0.2\nh e'), 4);
});

t.test('merges may be strings, and the type of the model left out', async (t) => {
  const file = JSON.parse(content);
  file.model.merges = merges.map((pair) => pair.join(' '));
  file.model.type = undefined;
  const loaded = await loadTokenizer(t.testdir({ 'tokenizer.json': JSON.stringify(file) }));
  for (const text of TEXTS) t.strictSame(loaded.encode(text), tokenizer.encode(text));
});

t.test('tokenizer_config.json governs how vocab.json is used', async (t) => {
  const load = (config: object) =>
    loadTokenizer(t.testdir({ ...files, 'tokenizer_config.json': JSON.stringify(config) }));
  const plain = await load({ tokenizer_class: 'RobertaTokenizer' });
  const prefixed = await load({ add_prefix_space: true });
  t.strictSame(prefixed.encode('the').ids, plain.encode(' the').ids);
  t.strictSame(prefixed.encode('the').ends, [0, 3, 0]);
  t.strictSame(plain.encode('x the').starts, [0, 0, 2, 0]);
  t.strictSame((await load({ trim_offsets: false })).encode('x the').starts, [0, 0, 1, 0]);
  const mask = (content: object) => load({ mask_token: { content: '<mask>', ...content } });
  t.equal(plain.encode('x <mask>').ids.length, 4, 'the mask takes the blank before it');
  t.equal((await mask({ lstrip: false })).encode('x <mask>').ids.length, 5, 'unless told not to');
  const added = { content: '<ent>', rstrip: true };
  const extended = await load({ added_tokens_decoder: { [tokenizer.vocabulary.size]: added } });
  t.strictSame(extended.encode('<ent>  x').ids.slice(1, 2), [tokenizer.vocabulary.size]);
});

t.test('sequences tell the texts of a pair apart, which typeIds do not', (t) => {
  const texts = ['😀 the', 'a lovely 😀'];
  const { typeIds, sequences, starts, ends } = tokenizer.encode(texts[0] as string, texts[1]);
  t.strictSame(new Set(typeIds), new Set([0]));
  const cut = sequences.map((sequence, token) => texts[sequence]?.slice(starts[token], ends[token]));
  t.strictSame([...new Set(cut)], [undefined, '😀', 'the', 'a', 'lovely', '']);
  t.strictSame([sequences.indexOf(0), sequences.indexOf(1)], [1, sequences.lastIndexOf(0) + 3]);
  t.end();
});

t.test('a lone surrogate counts as U+FFFD', async (t) => {
  t.strictSame(tokenizer.encode('go\ud800od \udc00film\ud83d'), tokenizer.encode('go\ufffdod \ufffdfilm\ufffd'));
});

t.test(
  'the lowest rank merges first, the leftmost of equals, and of a merge listed twice the last counts',
  async (t) => {
    const file = JSON.parse(content);
    const bytes = Object.keys(model.vocab).filter((token) => [...token].length === 1);
    const tokens = ['<s>', '<pad>', '</s>', '<unk>', '<mask>', ...bytes, 'aa', 'ab', 'aaa', 'abc', 'bc'];
    file.model.vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
    const encode = async (list: string[], text: string) => {
      file.model.merges = list;
      const directory = t.testdir({ 'tokenizer.json': JSON.stringify(file) });
      const { ids } = (await loadTokenizer(directory)).encode(text);
      return ids.slice(1, -1).map((id) => tokens[id]);
    };
    t.strictSame(await encode(['a a'], 'aaaaa'), ['aa', 'aa', 'a']);
    t.strictSame(await encode(['a b', 'b c'], 'abc'), ['ab', 'c']);
    t.strictSame(await encode(['b c', 'a b'], 'abc'), ['a', 'bc']);
    t.strictSame(await encode(['b c', 'a b', 'b c'], 'abc'), ['ab', 'c']);
    t.strictSame(await encode(['b c', 'a bc', 'ab c'], 'abc'), ['abc']);
    t.strictSame(await encode(['a a', 'a aa', 'a b'], 'aaab'), ['aa', 'ab']);
  },
);
