import t from 'tap';
import { EspalierError } from '../../src/native/errors.js';
import { TokenizerPipeline } from '../../src/tokenizer/pipeline.js';
import { parseTokenizerJson } from '../../src/tokenizer/tokenizer-json.js';

const ROUNDS = 20_000;
const TEXT = 'A film [SEP] déjà 漢字\u0000 <ent> unknown';

const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
const small = JSON.stringify({
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

/** Marsaglia's xorshift32: the same sequence on every machine. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

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
];

function mutate(text: string, random: (below: number) => number): string {
  let result = text;
  for (let edits = 1 + random(3); edits > 0; edits--) {
    const position = random(result.length);
    const length = random(3) === 0 ? random(80) : random(4);
    const insertion = [
      '',
      FRAGMENTS[random(FRAGMENTS.length)],
      String.fromCharCode(random(128)),
      result.slice(position, position + random(60)),
    ][random(4)];
    result = result.slice(0, position) + insertion + result.slice(position + length);
  }
  return result;
}

/** Replaces one value somewhere in the tree, so that the mutated text stays JSON. */
function mutateValue(text: string, random: (below: number) => number): string {
  const values = [null, true, -1, 2 ** 53, 1.5, '', 'A', '[SEP]', '\u0301', [], {}, [0], { id: 'A' }];
  let countdown = random(90);
  return JSON.stringify(
    JSON.parse(text, (_, value) => (countdown-- === 0 ? values[random(values.length)] : value)) ?? null,
  );
}

t.test(`${ROUNDS} mutated tokenizer.json files either work or are refused with ERR_TOKENIZER`, (t) => {
  const random = generator(20_240_229);
  const began = performance.now();
  const outcomes = { worked: 0, refused: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const content = (round % 2 === 0 ? mutate : mutateValue)(small, random);
    try {
      const tokenizer = new TokenizerPipeline(parseTokenizerJson(content));
      const { ids } = tokenizer.encode(TEXT, TEXT, { maxLength: 16 });
      if (ids.some((id) => !(id >= 0 && id < tokenizer.vocabularySize)))
        t.fail(`an id beyond the vocabulary: ${content}`);
      outcomes.worked++;
    } catch (error) {
      if (!(error instanceof EspalierError) || error.code !== 'ERR_TOKENIZER') t.fail(`${error}: ${content}`);
      outcomes.refused++;
    }
  }
  t.ok(outcomes.worked > ROUNDS / 50 && outcomes.refused > ROUNDS / 2, JSON.stringify(outcomes));
  t.ok(performance.now() - began < 60_000, 'in bounded time');
  t.end();
});
