import t from 'tap';
import { Random } from '../../src/data/random.js';
import { EspalierError } from '../../src/native/errors.js';
import { byteAlphabet } from '../../src/tokenizer/byte-alphabet.js';
import { type TokenizerParts, TokenizerPipeline } from '../../src/tokenizer/pipeline.js';
import type { Encoding, Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { parseTokenizerConfig } from '../../src/tokenizer/tokenizer-config.js';
import { parseTokenizerJson } from '../../src/tokenizer/tokenizer-json.js';
import { parseVocabJson } from '../../src/tokenizer/vocab-json.js';
import { parseVocabTxt } from '../../src/tokenizer/vocab-txt.js';

/** Mutated files of each kind, and random texts. Set ESPALIER_FUZZ_ROUNDS to try more of them. */
const ROUNDS = Number(process.env.ESPALIER_FUZZ_ROUNDS ?? 10_000);
const TEXT = 'A film [SEP] déjà 漢字\u0000 <ent> unknown  <mask></s>';

const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
const wordPiece = JSON.stringify({
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [
    { id: 1, content: '[SEP]', ...flags },
    { id: 7, content: '<ent>', ...flags, lstrip: true, normalized: true },
  ],
  normalizer: {
    type: 'BertNormalizer',
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '[CLS]', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '[SEP]', type_id: 0 } },
      { Sequence: { id: 'B', type_id: 1 } },
    ],
    special_tokens: {
      '[CLS]': { id: '[CLS]', ids: [0], tokens: ['[CLS]'] },
      '[SEP]': { id: '[SEP]', ids: [1], tokens: ['[SEP]'] },
    },
  },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: { '[CLS]': 0, '[SEP]': 1, '[UNK]': 2, a: 3, film: 4, de: 5, '##ja': 6 },
  },
});

const specials = ['<s>', '</s>', '<pad>', '<unk>', '<mask>'];
const vocab = Object.fromEntries(
  [...specials, ...byteAlphabet, 'Ġt', 'he', 'Ġthe', 'fi'].map((token, id) => [token, id]),
);
const merges = ['Ġ t', 'h e', 'Ġt he', 'f i'];
const byteLevelBpe = JSON.stringify({
  version: '1.0',
  added_tokens: [
    { id: 0, content: '<s>', ...flags, normalized: true },
    { id: 4, content: '<mask>', ...flags, lstrip: true },
    { id: 265, content: ' <ent>', ...flags, rstrip: true, single_word: true },
  ],
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
  post_processor: {
    type: 'RobertaProcessing',
    sep: ['</s>', 1],
    cls: ['<s>', 0],
    trim_offsets: true,
    add_prefix_space: true,
  },
  model: { type: 'BPE', dropout: null, continuing_subword_prefix: '', ignore_merges: false, merges, vocab },
});

const wordPieceConfig = JSON.stringify({
  tokenizer_class: 'BertTokenizerFast',
  do_lower_case: false,
  strip_accents: true,
  mask_token: { content: '[MASK]', lstrip: true },
  additional_special_tokens: ['<ent>', { content: 'film', rstrip: true, special: false }],
  added_tokens_decoder: { 1: { content: '[SEP]', lstrip: true }, 8: { content: 'déjà', normalized: true } },
});
const bytePairConfig = JSON.stringify({
  tokenizer_class: 'RobertaTokenizerFast',
  add_prefix_space: false,
  trim_offsets: false,
  extra_special_tokens: { other: '<other>' },
  additional_special_tokens: ['[SEP]'],
});

/** The contents of the files of a tokenizer, and what reads them. */
interface Kind {
  name: string;
  files: string[];
  parse(...files: string[]): TokenizerParts;
}
const bertConfig = JSON.stringify({
  tokenizer_class: 'BertTokenizer',
  do_lower_case: true,
  strip_accents: null,
  cls_token: { content: '[CLS]', lstrip: false },
  added_tokens_decoder: { 0: { content: '[PAD]' }, 7: { content: '<ent>', rstrip: true } },
});
const robertaConfig = JSON.stringify({
  add_prefix_space: true,
  mask_token: '<mask>',
  added_tokens_decoder: { 0: { content: '<s>', normalized: true }, 265: { content: '<ent>', rstrip: true } },
});
const configOf = (content: string | undefined) => parseTokenizerConfig({ 'tokenizer_config.json': content });
const parseBoth = (content: string, config: string) => parseTokenizerJson(content, configOf(config));
const kinds: Kind[] = [
  { name: 'tokenizer.json of WordPiece', files: [wordPiece, wordPieceConfig], parse: parseBoth },
  { name: 'tokenizer.json of byte-level BPE', files: [byteLevelBpe, bytePairConfig], parse: parseBoth },
  {
    name: 'vocab.txt',
    files: ['[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nfilm\n##s\n', bertConfig],
    parse: (vocabulary, config) => parseVocabTxt(vocabulary, configOf(config)),
  },
  {
    name: 'vocab.json',
    files: [JSON.stringify(vocab), ['#version: 0.2', ...merges].join('\n'), robertaConfig],
    parse: (vocabulary, list, config) => parseVocabJson(vocabulary, list, configOf(config)),
  },
];

const FRAGMENTS = [
  'null',
  '-1',
  '1e99',
  '""',
  '[]',
  '{}',
  'true',
  '"\\ud800"',
  '"__proto__":',
  '0',
  '9007199254740993',
  ',',
  '\n',
  ' ',
  '#version',
  'Ġ t',
];

function mutate(text: string, random: Random): string {
  let result = text;
  for (let edits = 1 + random.below(3); edits > 0; edits--) {
    const position = random.below(result.length + 1);
    const length = random.below(3) === 0 ? random.below(80) : random.below(4);
    const insertion = [
      '',
      FRAGMENTS[random.below(FRAGMENTS.length)],
      String.fromCharCode(random.below(128)),
      result.slice(position, position + random.below(60)),
    ][random.below(4)];
    result = result.slice(0, position) + insertion + result.slice(position + length);
  }
  return result;
}

/** Replaces one value somewhere in the tree, so that the mutated text stays JSON. */
function mutateValue(text: string, random: Random): string {
  const values = [null, true, -1, 2 ** 53, 1.5, '', 'A', '[SEP]', 'Ġ', '\u0301', [], {}, [0], ['a', 'b'], { id: 'A' }];
  let nodes = 0;
  JSON.parse(text, () => nodes++);
  // Half of them among the first values: most of the others are a vocabulary's.
  let countdown = random.below(random.below(2) === 0 ? nodes : Math.min(nodes, 90));
  return JSON.stringify(
    JSON.parse(text, (_, value) => (countdown-- === 0 ? values[random.below(values.length)] : value)) ?? null,
  );
}

/** What is wrong with an encoding, if anything. */
function fault({ ids, sequences, starts, ends }: Encoding, texts: string[], tokenizer: Tokenizer): string | undefined {
  for (const [token, id] of ids.entries()) {
    if (!(id >= 0 && id < tokenizer.vocabulary.size)) return `the id ${id}`;
    const length = texts[sequences[token] as number]?.length ?? 0;
    const [start, end] = [starts[token] as number, ends[token] as number];
    if (!(start >= 0 && start <= end && end <= length)) return `the offsets ${start}, ${end}`;
  }
  return undefined;
}

function encodeAll(tokenizer: Tokenizer, text: string, pair: string): string | undefined {
  const texts = [text, pair];
  try {
    const found = fault(tokenizer.encode(text, pair), texts, tokenizer);
    if (found) return found;
    // Room for the first text, and for so little of the second that there are several windows.
    const windows = tokenizer.encodeWindows(text, pair, {
      maxLength: tokenizer.encode(text).ids.length + 8,
      stride: 2,
    });
    return windows.map((encoding) => fault(encoding, texts, tokenizer)).find((found) => found);
  } catch (error) {
    if (error instanceof EspalierError && ['ERR_DATA', 'ERR_INVALID_ARGUMENT'].includes(error.code)) return undefined;
    return String(error);
  }
}

for (const [seed, { name, files, parse }] of kinds.entries()) {
  t.test(`a mutated ${name} either works or is refused with ERR_TOKENIZER`, (t) => {
    const random = new Random(seed);
    const outcomes = { worked: 0, refused: 0 };
    for (let round = 0; round < ROUNDS; round++) {
      const spoilt = random.below(files.length);
      const isJson = files[spoilt]?.startsWith('{') && round % 2 === 0;
      const contents = files.map((file, index) =>
        index === spoilt ? (isJson ? mutateValue : mutate)(file, random) : file,
      );
      try {
        const found = encodeAll(new TokenizerPipeline(parse(...contents)), TEXT, `${TEXT} ${TEXT}`);
        if (found) t.fail(`${found}: ${contents[spoilt]}`);
        outcomes.worked++;
      } catch (error) {
        if (!(error instanceof EspalierError) || error.code !== 'ERR_TOKENIZER')
          t.fail(`${error}: ${contents[spoilt]}`);
        outcomes.refused++;
      }
    }
    t.ok(outcomes.worked > ROUNDS / 50 && outcomes.refused > ROUNDS / 5, JSON.stringify(outcomes));
    t.end();
  });
}

const PIECES = [
  ...[
    'film',
    'the',
    ' ',
    '  ',
    '\n',
    '\u00a0',
    '\u3000',
    "'s",
    "'",
    '<mask>',
    '<ent>',
    ' <ent>',
    '<s>',
    '[SEP]',
    '字',
    'e\u0301\u0323',
  ],
  ...[
    '\u0344',
    '😀',
    '\ud800',
    '\udc00',
    '\u0000',
    '\ufffd',
    '\u00ad',
    'İ',
    'ß',
    'ﬁ',
    'Ġ',
    '1',
    '½',
    '##',
    '\u{1d15e}',
    '\u{e0100}',
  ],
];

for (const { name, files, parse } of kinds) {
  t.test(`random texts have tokens inside the vocabulary and the text: ${name}`, (t) => {
    const random = new Random(3);
    const tokenizer = new TokenizerPipeline(parse(...files));
    const randomText = () => {
      const pieces = Array.from({ length: random.below(12) }, () =>
        random.below(4) === 0 ? String.fromCharCode(random.below(0x10000)) : PIECES[random.below(PIECES.length)],
      );
      return pieces.join('');
    };
    for (let round = 0; round < ROUNDS; round++) {
      const [text, pair] = [randomText(), randomText()];
      const found = encodeAll(tokenizer, text, pair);
      if (found) t.fail(`${found}: ${JSON.stringify([text, pair])}`);
    }
    t.pass(`${ROUNDS} pairs of texts`);
    t.end();
  });
}
