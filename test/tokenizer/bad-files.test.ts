import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { byteLevelBpe, sentimentMini } from '../support/paths.js';

const original = readFileSync(join(sentimentMini, 'tokenizer.json'), 'utf8');

/** The file with the values at some paths replaced; undefined removes one. */
function changed(changes: Record<string, unknown>, content = original): string {
  const file = JSON.parse(content);
  for (const [path, value] of Object.entries(changes)) {
    const keys = path.split('.');
    const last = keys.pop() as string;
    keys.reduce((node, key) => node[key], file)[last] = value;
  }
  return JSON.stringify(file);
}

const { vocab } = JSON.parse(original).model;
const size = Object.keys(vocab).length;
const [pad] = JSON.parse(original).added_tokens;
const added = (changes: object) => changed({ 'added_tokens.5': { ...pad, ...changes } });
const sequenceA = { Sequence: { id: 'A', type_id: 0 } };
const bertProcessing = { type: 'BertProcessing', sep: ['[SEP]', vocab['[SEP]']], cls: ['[CLS]', 77] };

const badTokenizerJson: [name: string, content: string | Buffer, message: RegExp][] = [
  ['empty file', '', /not valid JSON/],
  ['truncated file', original.slice(0, original.length / 2), /not valid JSON/],
  ['bytes that are no UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), /cannot read/],
  ['a list', '[]', /Expected/],
  ['null', 'null', /Expected Object/],
  ['unknown version', changed({ version: '2.0' }), /version: .*"2\.0"/],
  ['other model', changed({ 'model.type': 'Unigram' }), /type: "Unigram" is not supported, only "WordPiece" or "BPE"/],
  ['no model', changed({ model: undefined }), /model/],
  ['other normalizer', changed({ normalizer: { type: 'NFC' } }), /normalizer\.type: "NFC" is not supported/],
  ['no normalizer', changed({ normalizer: null }), /normalizer: .*null/],
  ['other pre-tokenizer', changed({ 'pre_tokenizer.type': 'ByteLevel' }), /pre_tokenizer\.type: "ByteLevel" is not/],
  ['other post-processor', changed({ 'post_processor.type': 'RobertaProcessing' }), /"RobertaProcessing" is not/],
  ['no post-processor', changed({ post_processor: null }), /post_processor: null is not supported/],
  ['option of the wrong type', changed({ 'normalizer.lowercase': 'yes' }), /normalizer\.lowercase/],
  ['negative word length', changed({ 'model.max_input_chars_per_word': -1 }), /max_input_chars_per_word/],
  ['fractional word length', changed({ 'model.max_input_chars_per_word': 0.5 }), /max_input_chars_per_word/],
  ['vocabulary that is a list', changed({ 'model.vocab': ['a'] }), /model\.vocab: is not an object/],
  ['empty vocabulary', changed({ 'model.vocab': {} }), /vocabulary is empty/],
  ['hole', changed({ 'model.vocab.film': undefined }), /vocabulary has holes/],
  ['absurd id', changed({ 'model.vocab.film': 2 ** 40 }), /vocabulary has holes/],
  ['duplicate id', changed({ 'model.vocab.film': 7 }), /gives the id 7 to both/],
  ['id that is no number', changed({ 'model.vocab.film': '7' }), /not a whole number/],
  ['fractional id', changed({ 'model.vocab.film': 7.5 }), /not a whole number/],
  ['lone surrogate', changed({ 'model.vocab.\ud800': size }), /lone surrogate/],
  ['unknown token missing', changed({ 'model.unk_token': '<unk>' }), /special token <unk> is not in the vocabulary/],
  ['separator missing', changed({ 'post_processor.special_tokens.[SEP].ids': [size] }), /\[SEP\] of id 7000 is not/],
  ['undeclared separator', changed({ 'post_processor.special_tokens': {} }), /special_tokens lacks \[CLS\]/],
  ['template without the text', changed({ 'post_processor.single': [] }), /single must hold the sequence A/],
  ['template with a text twice', changed({ 'post_processor.pair': [sequenceA, sequenceA] }), /pair must .* A and B/],
  ['template of something else', changed({ 'post_processor.single.0': {} }), /single\.0: is neither/],
  ['token type of no embedding', changed({ 'post_processor.pair.3.Sequence.type_id': 2 }), /post_processor\.pair\.3/],
  ['BertProcessing without [CLS]', changed({ post_processor: bertProcessing }), /\[CLS\] of id 77 is not/],
  ['added token of another id', added({ content: 'film', id: 5 }), /added token film has the id 5/],
  ['added token beyond a hole', added({ content: '<x>', id: 70000 }), /added token <x> has the id 70000/],
  ['added token twice', added({}), /added token \[PAD\] is listed twice/],
  ['added token of marks', added({ content: '\u0301', id: size, normalized: true }), /nothing is left of the added/],
  ['empty added token', added({ content: '', id: size }), /added_tokens\.5\.content/],
];

const bytePairs = readFileSync(byteLevelBpe, 'utf8');
const changedPairs = (changes: Record<string, unknown>) => changed(changes, bytePairs);
const { merges, vocab: pairVocab } = JSON.parse(bytePairs).model;
const robertaProcessing = { type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 77], trim_offsets: true };

const badBytePairs: typeof badTokenizerJson = [
  ['dropout', changedPairs({ 'model.dropout': 0.1 }), /model\.dropout: 0\.1 is not supported, only null/],
  ['prefix', changedPairs({ 'model.continuing_subword_prefix': '##' }), /continuing_subword_prefix: "##" is not supp/],
  ['suffix', changedPairs({ 'model.end_of_word_suffix': '</w>' }), /end_of_word_suffix: "<\/w>" is not supported/],
  ['ignored merges', changedPairs({ 'model.ignore_merges': true }), /ignore_merges: true is not supported, only false/],
  ['normalizer', changedPairs({ normalizer: { type: 'NFC' } }), /normalizer: Object is not supported, only null/],
  [
    'other pre-tokenizer',
    changedPairs({ 'pre_tokenizer.type': 'Metaspace' }),
    /"Metaspace" is not supported, only "By/,
  ],
  ['no pre-tokenizer', changedPairs({ pre_tokenizer: null }), /pre_tokenizer/],
  ['BertProcessing', changedPairs({ post_processor: bertProcessing }), /"BertProcessing" is not supported/],
  ['other separator', changedPairs({ 'post_processor.sep': ['</s>', 7] }), /<\/s> of id 7 is not/],
  ['incomplete', changedPairs({ post_processor: robertaProcessing }), /post_processor\.add_prefix_space/],
  ['no merges', changedPairs({ 'model.merges': undefined }), /model\.merges/],
  ['merges that are no list', changedPairs({ 'model.merges': {} }), /model\.merges/],
  ['merge of one', changedPairs({ 'model.merges': ['Ġt'] }), /merge 0, "Ġt", is no pair/],
  ['merge of three', changedPairs({ 'model.merges': [['a', 'b', 'c']] }), /merge 0, \["a","b","c"\], is no pair/],
  ['merge of a number', changedPairs({ 'model.merges': [['a', 1]] }), /merge 0, \["a",1\], is no pair/],
  [
    'merge of unknown tokens',
    changedPairs({ 'model.merges': ['a qq'] }),
    /vocabulary lacks "qq", which the merges need/,
  ],
  ['merge into an unknown token', changedPairs({ 'model.merges': ['q q'] }), /vocabulary lacks "qq", which the merges/],
  ['hole', changedPairs({ 'model.vocab.!': undefined }), /vocabulary has holes/],
  [
    'byte missing',
    changedPairs({ 'model.vocab': renamed(pairVocab, 'Ā', 'AĀ') }),
    /vocabulary lacks "Ā", which .* byte 0/,
  ],
];

function renamed(vocabulary: Record<string, number>, from: string, to: string): Record<string, number> {
  return Object.fromEntries(Object.entries(vocabulary).map(([token, id]) => [token === from ? to : token, id]));
}

for (const [name, content, message] of [...badTokenizerJson, ...badBytePairs]) {
  t.test(`tokenizer.json is refused: ${name}`, async (t) => {
    const directory = t.testdir({ 'tokenizer.json': content });
    await t.rejects(loadTokenizer(directory), { name: 'EspalierError', code: 'ERR_TOKENIZER', message });
    await t.rejects(loadTokenizer(directory), { message: /tokenizer\.json/ }, 'and named');
  });
}

const lines = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'film'];
const vocabTxt = lines.join('\n');
const badVocabTxt: [name: string, vocab: string, config: string, message: RegExp][] = [
  ['empty file', '', '{}', /vocabulary is empty/],
  ['duplicate line', `${vocabTxt}\nfilm`, '{}', /lists "film" twice/],
  ['special token missing', lines.slice(0, 3).join('\n'), '{}', /special token \[SEP\] is not in the vocabulary/],
  ['truncated settings', vocabTxt, '{"do_lower', /not valid JSON/],
  ['setting of the wrong type', vocabTxt, '{"do_lower_case": 1}', /do_lower_case/],
  ['other special token', vocabTxt, '{"sep_token": "</s>"}', /special token <\/s> is not/],
  ['empty special token', vocabTxt, '{"sep_token": ""}', /sep_token/],
  [
    'added token beyond a hole',
    vocabTxt,
    '{"added_tokens_decoder": {"9": {"content": "<x>"}}}',
    /<x> has the id 9, but/,
  ],
  ['added token of no id', vocabTxt, '{"added_tokens_decoder": {"x": {"content": "<x>"}}}', /<x> has the id NaN, but/],
  ['special tokens split', vocabTxt, '{"split_special_tokens": true}', /split_special_tokens: true is not supported/],
  ['no separator', vocabTxt, '{"sep_token": null}', /sep_token: none is not supported without a tokenizer\.json/],
  ['other tokenizer', vocabTxt, '{"tokenizer_class": "BertJapaneseTokenizer"}', /"BertJapaneseTokenizer" is not supp/],
];

for (const [name, vocab, config, message] of badVocabTxt) {
  t.test(`vocab.txt is refused: ${name}`, async (t) => {
    const directory = t.testdir({ 'vocab.txt': vocab, 'tokenizer_config.json': config });
    await t.rejects(loadTokenizer(directory), { name: 'EspalierError', code: 'ERR_TOKENIZER', message });
  });
}

const pairFiles = {
  'vocab.json': JSON.stringify(pairVocab),
  'merges.txt': ['#version: 0.2', ...merges.map((pair: string[]) => pair.join(' '))].join('\n'),
};
const badPairFiles: [name: string, files: Record<string, string>, message: RegExp][] = [
  ['vocabulary that is a list', { 'vocab.json': '[]' }, /is not an object/],
  ['truncated vocabulary', { 'vocab.json': '{"a": ' }, /not valid JSON/],
  ['empty vocabulary', { 'vocab.json': '{}' }, /vocabulary is empty/],
  ['empty merges', { 'merges.txt': '' }, /must begin with a line "#version"/],
  ['no version', { 'merges.txt': 'Ġ t\n' }, /must begin with a line "#version"/],
  ['merge of one', { 'merges.txt': '#version: 0.2\nĠ t\nĠt\n' }, /merge 1, "Ġt", is no pair/],
  ['empty line', { 'merges.txt': '#version: 0.2\n\nĠ t' }, /merge 0, "", is no pair/],
  [
    'other tokenizer',
    { 'tokenizer_config.json': '{"tokenizer_class": "GPT2Tokenizer"}' },
    /"GPT2Tokenizer" is not supp/,
  ],
  ['other special token', { 'tokenizer_config.json': '{"mask_token": "[MASK]"}' }, /special token \[MASK\] is not in/],
];

for (const [name, files, message] of badPairFiles) {
  t.test(`vocab.json with merges.txt is refused: ${name}`, async (t) => {
    const directory = t.testdir({ ...pairFiles, ...files });
    await t.rejects(loadTokenizer(directory), { name: 'EspalierError', code: 'ERR_TOKENIZER', message });
  });
}

const badConfigs: [name: string, files: Record<string, string>, message: RegExp][] = [
  [
    'a class that is not known',
    { 'tokenizer_config.json': '{"tokenizer_class": "MPNetTokenizer"}' },
    /"MPNetTokenizer"/,
  ],
  [
    'a class in config.json',
    { 'config.json': '{"tokenizer_class": "MPNetTokenizer"}' },
    /config\.json: tokenizer_class/,
  ],
  ['an option of the wrong type', { 'tokenizer_config.json': '{"do_lower_case": "no"}' }, /do_lower_case/],
  ['a special token of the wrong type', { 'special_tokens_map.json': '{"cls_token": 1}' }, /map\.json: cls_token/],
  ['an added token without text', { 'added_tokens.json': '{"": 7000}' }, /added_tokens\.json/],
  [
    'an added token of another id',
    { 'added_tokens.json': '{"<ent>": 7001}' },
    /<ent> has the id 7001, but must have 7000/,
  ],
];

for (const [name, files, message] of badConfigs) {
  t.test(`what lies beside a tokenizer.json is refused: ${name}`, async (t) => {
    const directory = t.testdir({ 'tokenizer.json': original, ...files });
    await t.rejects(loadTokenizer(directory), { name: 'EspalierError', code: 'ERR_TOKENIZER', message });
  });
}

t.test('byte-level BPE is refused where the tokenizer class is one of BERT', async (t) => {
  const directory = t.testdir({ 'tokenizer.json': bytePairs, 'config.json': '{"model_type": "bert"}' });
  await t.rejects(loadTokenizer(directory), { code: 'ERR_TOKENIZER', message: /cannot use byte-level BPE/ });
});

t.test('a vocabulary of another kind than the tokenizer class is refused', async (t) => {
  const load = (tokenizer_class: string, files: Record<string, string>) =>
    loadTokenizer(t.testdir({ ...files, 'tokenizer_config.json': JSON.stringify({ tokenizer_class }) }));
  await t.rejects(load('RobertaTokenizer', { 'vocab.txt': vocabTxt }), { message: /nor vocab\.json with merges\.txt/ });
  await t.rejects(load('BertTokenizer', pairFiles), { message: /neither tokenizer\.json nor vocab\.txt$/ });
  await t.rejects(load('PreTrainedTokenizerFast', { 'vocab.txt': vocabTxt }), { message: /holds no tokenizer\.json/ });
});

t.test('vocab.json without merges.txt is refused', async (t) => {
  const directory = t.testdir({ 'vocab.json': '{}' });
  await t.rejects(loadTokenizer(directory), { code: 'ERR_TOKENIZER', message: /vocab\.json with merges\.txt/ });
});

t.test('a directory without tokenizer files is refused', async (t) => {
  await t.rejects(loadTokenizer(t.testdir()), {
    code: 'ERR_TOKENIZER',
    message: /neither tokenizer\.json nor vocab\.txt/,
  });
  await t.rejects(loadTokenizer(join(t.testdir(), 'absent')), { code: 'ERR_TOKENIZER' });
});

t.test('a directory in the place of a file is refused', async (t) => {
  const directory = t.testdir();
  mkdirSync(join(directory, 'tokenizer.json'));
  await t.rejects(loadTokenizer(directory), { code: 'ERR_TOKENIZER', message: /cannot read .*tokenizer\.json/ });
});

t.test('a file of absurd size is refused before it is read', async (t) => {
  const file = join(t.testdir(), 'tokenizer.json');
  writeFileSync(file, '');
  truncateSync(file, 2 ** 36);
  await t.rejects(loadTokenizer(join(file, '..')), { code: 'ERR_TOKENIZER', message: /more than any tokenizer/ });
});
