import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readExamples } from '../../src/data/examples.js';
import { readRows } from '../../src/data/rows.js';
import type { EspalierError } from '../../src/native/errors.js';
import { findTask } from '../../src/tasks/task.js';

interface BadData {
  what: string;
  /** File name and content; no content leaves the file out. */
  name: string;
  content?: string | Buffer;
  task?: string;
  message: string;
}

const tsv = 'sentence\tlabel\ngood\t1\n';
const latin = (text: string) => Buffer.from(text, 'latin1');
const long = 'x'.repeat((16 << 20) + 1);

/** SQuAD's JSON with one question about a context "is old". */
const squad = (question: unknown) =>
  JSON.stringify({ data: [{ title: 'a', paragraphs: [{ context: 'is old', qas: [question] }] }] });

const bad: BadData[] = [
  { what: 'no CSV file', name: 'lost.csv', message: 'no such file' },
  { what: 'no file', name: 'lost.tsv', message: 'no such file' },
  { what: 'a directory', name: 'folder.tsv/', message: 'EISDIR' },
  {
    what: 'an unknown extension',
    name: 'a.xlsx',
    content: tsv,
    message: '".xlsx" (data files end in .tsv, .csv, .jsonl, .json, .parquet, .txt, or give --format)',
  },
  {
    what: 'plain text, which has no labels',
    name: 'a.txt',
    content: 'good\t1\n',
    message: 'line 1: no column "label", only "text", "pair"',
  },
  { what: 'no extension', name: 'data', content: tsv, message: 'unknown extension ""' },
  { what: 'an empty TSV', name: 'a.tsv', content: '', message: 'has no examples' },
  { what: 'an empty CSV', name: 'a.csv', content: '', message: 'has no examples' },
  { what: 'an empty JSONL', name: 'a.jsonl', content: '\n\n', message: 'has no examples' },
  { what: 'an empty JSON', name: 'a.json', content: '', message: 'invalid JSON' },
  { what: 'an empty array', name: 'a.json', content: '[]', message: 'has no examples' },
  { what: 'a header alone', name: 'a.tsv', content: 'sentence\tlabel\n', message: 'has no examples' },
  {
    what: 'no header',
    name: 'a.tsv',
    content: 'good\tpositive\nbad\tnegative\n',
    message: 'line 2: no column "sentence", only "good", "positive" (--text-column names another)',
  },
  {
    what: 'no label column',
    name: 'a.csv',
    content: 'sentence,stars\ngood,1\n',
    message: 'no column "label", only "sentence", "stars" (--label-column names another)',
  },
  {
    what: 'no pair column',
    name: 'a.tsv',
    content: 'question\tlabel\na\tentailment\n',
    task: 'qnli',
    message: 'no column "sentence"',
  },
  {
    what: 'a column twice',
    name: 'a.tsv',
    content: 'sentence\tlabel\tlabel\na\t1\t0\n',
    message: 'line 1: the header has the column "label" twice',
  },
  {
    what: 'a short TSV line',
    name: 'a.tsv',
    content: `${tsv}bad\n`,
    message: 'line 3: 1 fields under a header of 2 columns',
  },
  {
    what: 'a long TSV line',
    name: 'a.tsv',
    content: `${tsv}\nbad\t0\tmore\n`,
    message: 'line 4: 3 fields under a header of 2 columns',
  },
  {
    what: 'a short CSV record',
    name: 'a.csv',
    content: 'sentence,label\ngood,1\nbad\n',
    message: 'line 3: 1 fields under a header of 2 columns',
  },
  {
    what: 'an open quotation in CSV',
    name: 'a.csv',
    content: 'sentence,label\n"good,1\nbad,0\n',
    message: 'broken CSV: Quote Not Closed',
  },
  {
    what: 'a quotation mark inside a CSV field',
    name: 'a.csv',
    content: 'sentence,label\n"good" one,1\n',
    message: 'broken CSV',
  },
  {
    what: 'an unknown label',
    name: 'a.tsv',
    content: `${tsv}bad\tmaybe\n`,
    message: 'line 3: label "maybe" is unknown (task sst2 allows "negative", "positive" or 0 to 1)',
  },
  { what: 'a label out of range', name: 'a.tsv', content: `${tsv}bad\t2\n`, message: 'label "2" is unknown' },
  {
    what: 'a missing label',
    name: 'a.csv',
    content: 'sentence,label\ngood,\n',
    message: 'line 2: label "" is unknown',
  },
  {
    what: 'a label of no number',
    name: 'a.tsv',
    content: 'sentence1\tsentence2\tscore\na\tb\tfive\n',
    task: 'stsb',
    message: 'label "five" is unknown (task stsb allows a number)',
  },
  {
    what: 'a null label',
    name: 'a.jsonl',
    content: '{"sentence": "a", "label": null}',
    message: 'line 1: label null is unknown',
  },
  {
    what: 'a label in a list',
    name: 'a.jsonl',
    content: '{"sentence": "a", "label": [1]}',
    message: 'label [1] is unknown',
  },
  {
    what: 'a label that is no text, though it has its methods',
    name: 'a.jsonl',
    content: '{"sentence": "a", "label": {"toString": 1}}',
    message: 'label {"toString":1} is unknown',
  },
  {
    what: 'a number as text',
    name: 'a.jsonl',
    content: '{"sentence": 5, "label": 1}',
    message: 'column "sentence" holds 5, no text',
  },
  {
    what: 'a JSON line without the column',
    name: 'a.jsonl',
    content: '{"sentence": "a", "label": 1}\n{"label": 1}\n',
    message: 'line 2: no column "sentence", only "label"',
  },
  {
    what: 'a JSON line cut short',
    name: 'a.jsonl',
    content: '{"sentence": "a", "label": 1}\n{"sentence": "b"',
    message: 'line 2: invalid JSON',
  },
  { what: 'a JSON line that is no object', name: 'a.jsonl', content: '["a", 1]', message: 'line 1: no JSON object' },
  {
    what: 'JSON lines named .json',
    name: 'a.json',
    content: '{"sentence": "a", "label": 1}',
    message: 'name a file with one object a line .jsonl',
  },
  { what: 'an array of texts', name: 'a.json', content: '["a"]', message: 'item 1: no JSON object' },
  { what: 'Latin-1 in TSV', name: 'a.tsv', content: latin(`${tsv}caf\xe9\t1\n`), message: 'line 3: invalid UTF-8' },
  {
    what: 'Latin-1 in CSV',
    name: 'a.csv',
    content: latin('sentence,label\na,1\ncaf\xe9,1\n'),
    message: 'line 3: invalid UTF-8',
  },
  {
    what: 'Latin-1 in JSON',
    name: 'a.json',
    content: latin('[{"sentence": "caf\xe9", "label": 1}]'),
    message: 'invalid UTF-8',
  },
  { what: 'UTF-16', name: 'a.tsv', content: Buffer.from(`\ufeff${tsv}`, 'utf16le'), message: 'line 1: invalid UTF-8' },
  {
    what: 'a character cut short at the end',
    name: 'a.csv',
    content: Buffer.concat([Buffer.from('sentence,label\na,1\n'), Buffer.of(0xe2, 0x82)]),
    message: 'invalid UTF-8',
  },
  {
    what: 'an endless TSV line',
    name: 'a.tsv',
    content: `${tsv}${long}`,
    message: 'line 3: longer than 16777216 bytes',
  },
  { what: 'an endless CSV record', name: 'a.csv', content: `sentence,label\n"${long}`, message: 'broken CSV' },
  { what: 'an endless JSON line', name: 'a.jsonl', content: long, message: 'line 1: longer than 16777216 bytes' },
  {
    what: 'a JSON object that is no SQuAD',
    name: 'a.json',
    content: '{"version": "1.1"}',
    message: 'neither a JSON array nor an object with one as its data',
  },
  {
    what: 'SQuAD without articles',
    name: 'a.json',
    content: '{"data": []}',
    task: 'squad',
    message: 'has no examples',
  },
  { what: 'SQuAD whose data are no list', name: 'a.json', content: '{"data": {}}', message: 'data: no list' },
  {
    what: 'SQuAD with an article of text',
    name: 'a.json',
    content: '{"data": ["a"]}',
    message: 'data[0]: no JSON object',
  },
  {
    what: 'SQuAD without paragraphs',
    name: 'a.json',
    content: '{"data": [{"title": "a"}]}',
    task: 'squad',
    message: 'data[0]: no column "question", only "title" (--text-column names another)',
  },
  {
    what: 'SQuAD whose paragraphs are no list',
    name: 'a.json',
    content: '{"data": [{"title": "a", "paragraphs": {}}]}',
    message: 'data[0].paragraphs: no list',
  },
  {
    what: 'SQuAD without questions',
    name: 'a.json',
    content: '{"data": [{"paragraphs": [{"context": "a"}]}]}',
    message: 'data[0].paragraphs[0].qas: no list',
  },
  {
    what: 'SQuAD with a question of null',
    name: 'a.json',
    content: squad(null),
    message: 'data[0].paragraphs[0].qas[0]: no JSON object',
  },
  {
    what: 'SQuAD without a context',
    name: 'a.json',
    content: '{"data": [{"paragraphs": [{"qas": [{"question": "a"}]}]}]}',
    task: 'squad',
    message: 'qas[0]: column "context" holds undefined, no text',
  },
  {
    what: 'SQuAD without answers',
    name: 'a.json',
    content: squad({ question: 'a' }),
    task: 'squad',
    message: 'qas[0]: no column "answers", only "id", "question", "context" (--label-column names another)',
  },
  ...(
    [
      ['an empty list of answers', []],
      ['answers of null', null],
      ['answers of text', 'old'],
      ['answers of lists', [['old', 3]]],
      ['an answer of null', [null]],
      ['an answer without a place', [{ text: 'old' }]],
      ['an answer without text', [{ answer_start: 3 }]],
      ['an empty answer', [{ text: '', answer_start: 3 }]],
      ['an answer in another place', [{ text: 'old', answer_start: 2 }]],
      ['an answer before the context', [{ text: 'old', answer_start: -1 }]],
      ['an answer behind the context', [{ text: 'old', answer_start: 1e9 }]],
      ['an answer between two characters', [{ text: 'old', answer_start: 3.5 }]],
      ['an answer in a place of text', [{ text: 'old', answer_start: '3' }]],
      ['fewer places than answers', { text: ['old', 'is'], answer_start: [3] }],
      ['answers without places', { text: ['old'] }],
    ] as const
  ).map(([what, answers]) => ({
    what: `SQuAD with ${what}`,
    name: 'a.json',
    content: squad({ id: 1, question: 'a', answers }),
    task: 'squad',
    message: 'is unknown (task squad allows one or more answers that stand in the context where they start)',
  })),
  {
    what: 'SQuAD 2.0 with an answer in another place',
    name: 'a.jsonl',
    content: '{"question": "a", "context": "is old", "answers": [{"text": "old", "answer_start": 0}]}',
    task: 'squad_v2',
    message: 'line 1: label [{"text":"old","answer_start":0}] is unknown (task squad_v2 allows none or more answers',
  },
  {
    what: 'an id in a list',
    name: 'a.jsonl',
    content: '{"id": [1], "question": "a", "context": "b", "answers": []}',
    task: 'squad_v2',
    message: 'line 1: column "id" holds [1], no name',
  },
  {
    what: 'CoLA without a header and with a field missing',
    name: 'a.tsv',
    content: 'gj04\t1\tgood\n',
    task: 'cola',
    message: 'line 1: 3 fields under a header of 4 columns',
  },
  {
    what: 'CoLA without a header and with another label',
    name: 'a.tsv',
    content: 'gj04\t2\t\tgood\n',
    task: 'cola',
    message: 'line 1: label "2" is unknown',
  },
  {
    what: 'QQP with a field too many',
    name: 'a.tsv',
    content: 'question1\tquestion2\tis_duplicate\na\tb\tc\t1\n',
    task: 'qqp',
    message: 'line 2: 4 fields under a header of 3 columns',
  },
  {
    what: 'QQP with broken lines only',
    name: 'a.tsv',
    content: 'question1\tquestion2\tis_duplicate\na\tb\n',
    task: 'qqp',
    message: 'has no examples',
  },
  {
    what: 'no agreement in a task that knows of none',
    name: 'a.tsv',
    content: 'sentence1\tsentence2\tlabel\na\tb\t-\n',
    task: 'rte',
    message: 'line 2: label "-" is unknown (task rte allows "entailment", "not_entailment" or 0 to 1)',
  },
];

const directory = t.testdir();

for (const [index, { what, name, content, task = 'sst2', message }] of bad.entries()) {
  t.test(`${what}: ERR_DATA`, async (t) => {
    const path = join(directory, String(index), name);
    mkdirSync(name.endsWith('/') ? path : join(path, '..'), { recursive: true });
    if (content !== undefined) writeFileSync(path, content);
    const error: EspalierError = await readExamples(path, findTask(task)).then(
      () => t.fail('was read'),
      (reason) => reason,
    );
    t.match(error, { name: 'EspalierError', code: 'ERR_DATA' });
    t.ok(error.message.includes(message), error.message);
    t.ok(error.message.includes(path.replace(/\/$/, '')), 'names the file');
    t.notMatch(error.message, /\n/, 'is one line');
    t.ok(error.message.length < 400, 'is short');
  });
}

t.test('an endless file is refused before it fills memory', async (t) => {
  for (const extension of ['.tsv', '.csv', '.jsonl']) {
    const path = join(directory, `endless${extension}`);
    symlinkSync('/dev/zero', path);
    await t.rejects(readExamples(path, findTask('sst2')), { code: 'ERR_DATA' }, extension);
  }
});

t.test('the rows before a bad one come out, and its line is counted in all pieces of the file', async (t) => {
  const rows = 100_000;
  for (const [extension, header, row] of [
    ['.csv', 'sentence,label\n', 'caf\u00e9 sentence,1\n'],
    ['.tsv', 'sentence\tlabel\n', 'caf\u00e9 sentence\t1\n'],
  ] as const) {
    const path = join(directory, `late${extension}`);
    writeFileSync(path, Buffer.concat([Buffer.from(header + row.repeat(rows)), latin(row), Buffer.from(row)]));
    let count = 0;
    const read = async () => {
      for await (const _ of readRows(path)) count++;
    };
    await t.rejects(read(), { code: 'ERR_DATA', message: `${path}, line ${rows + 2}: invalid UTF-8` });
    t.equal(count, rows, extension);
  }
});

t.test('a property of every object is no column', async (t) => {
  const path = join(directory, 'a.tsv');
  writeFileSync(path, tsv);
  const columns = { text: 'constructor' };
  await t.rejects(readExamples(path, findTask('sst2'), columns), {
    code: 'ERR_DATA',
    message: /no column "constructor"/,
  });
});
