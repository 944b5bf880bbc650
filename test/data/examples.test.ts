import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { labelsOf, readExamples } from '../../src/data/examples.js';
import { findTask, resolveTask } from '../../src/tasks/task.js';
import { hasShared, sharedPath } from '../support/paths.js';

const directory = t.testdir();
let count = 0;

function file(extension: string, content: string | Buffer): string {
  const path = join(directory, `${count++}${extension}`);
  writeFileSync(path, content);
  return path;
}

const sst2 = findTask('sst2');
const mrpc = findTask('mrpc');
const own = findTask('classification');

t.test('TSV: quotation marks mean themselves, columns in any order', async (t) => {
  const path = file('.tsv', 'Quality\t#1 ID\t#1 String\t#2 String\n1\t7\t"Yes, he said.\tShe "agreed".\n0\t8\t\té ü\n');
  t.same(await readExamples(path, mrpc), [
    { text: '"Yes, he said.', pair: 'She "agreed".', label: 1 },
    { text: '', pair: 'é ü', label: 0 },
  ]);
});

t.test('every format: byte order mark, CRLF, empty lines, no end of the last line', async (t) => {
  const expected = [
    { text: 'good', label: 1 },
    { text: 'bad', label: 0 },
  ];
  const contents = {
    '.tsv': 'sentence\tlabel\r\n\r\ngood\t1\r\n\n\nbad\t0',
    '.csv': 'label,sentence\n\r\n1,good\r\n\n0,bad',
    '.jsonl': '{"sentence": "good", "label": 1}\r\n\r\n{"sentence": "bad", "label": "negative"}',
    '.json': '[\r\n{"sentence": "good", "label": "1"}, {"sentence": "bad", "label": 0}]',
  };
  for (const [extension, content] of Object.entries(contents)) {
    t.same(await readExamples(file(extension, content), sst2), expected, extension);
    t.same(
      await readExamples(file(extension.toUpperCase(), `\ufeff${content}\n`), sst2),
      expected,
      `${extension} with a mark`,
    );
  }
});

t.test('CSV: quoted commas, quotes and line ends', async (t) => {
  const path = file('.csv', 'label,sentence\n1,"a, ""b""\nc"\n0,plain\n');
  t.same(await readExamples(path, sst2), [
    { text: 'a, "b"\nc', label: 1 },
    { text: 'plain', label: 0 },
  ]);
});

t.test('CSV: lines may end in a carriage return alone', async (t) => {
  const path = file('.csv', 'sentence,label\rgood,1\r\r"b\ra\r\nd",0\r');
  t.same(await readExamples(path, sst2), [
    { text: 'good', label: 1 },
    { text: 'b\ra\r\nd', label: 0 },
  ]);
});

t.test('CSV: a piece of the file may end anywhere', async (t) => {
  // Files are read in pieces of 1 MiB.
  for (let over = 0; over < 20; over++) {
    const text = 'x'.repeat((1 << 20) - over);
    const path = file('.csv', `sentence,label\r\n"${text}""\r\n,",1\r\nb,0`);
    t.same(await readExamples(path, sst2), [
      { text: `${text}"\r\n,`, label: 1 },
      { text: 'b', label: 0 },
    ]);
  }
});

t.test('characters that Unicode calls line ends stay in the text', async (t) => {
  const text = 'a\u2028b\u0085c\u000bd\re';
  const [example] = await readExamples(file('.tsv', `sentence\tlabel\n${text}\t1\n`), sst2);
  t.equal(example?.text, text);
});

t.test('a character cut by a piece of the file survives', async (t) => {
  // Files are read in pieces of 1 MiB, the first of which ends inside of a two-byte character here.
  const text = 'é'.repeat(1001);
  for (const [extension, separator] of [
    ['.tsv', '\t'],
    ['.csv', ','],
  ] as const) {
    const content = `sentence${separator}label\n${`${text}${separator}1\n`.repeat(3000)}`;
    const examples = await readExamples(file(extension, content), sst2);
    t.equal(examples.length, 3000);
    t.ok(examples.every((example) => example.text === text && example.label === 1));
  }
});

t.test('columns by name for a file of one’s own', async (t) => {
  const path = file('.csv', 'review,verdict,reply\nfine,1,thanks\n');
  t.same(await readExamples(path, own, { text: 'review', label: 'verdict' }), [{ text: 'fine', label: 1 }]);
  t.same(await readExamples(path, own, { text: 'review', pair: 'reply', label: 'verdict' }), [
    { text: 'fine', pair: 'thanks', label: 1 },
  ]);
  t.same(
    await readExamples(file('.jsonl', '{"text": "x", "label": 4}'), own),
    [{ text: 'x', label: 4 }],
    'text and label by default',
  );
});

for (const [extension, content] of [
  ['.jsonl', '{"text": "x", "label": true}\n{"text": "y", "label": false}\n'],
  ['.csv', 'text,label\nx,True\ny,False\n'],
] as const) {
  t.test(`a boolean of ${extension} is the label of its name, or else 0 or 1`, async (t) => {
    const path = file(extension, content);
    const labelsFor = async (...labels: string[]) => {
      const task = resolveTask({ config: {}, labels, problem: 'classification' }, 'classification');
      return (await readExamples(path, task)).map(({ label }) => label);
    };
    t.strictSame(await labelsFor('False', 'True'), [1, 0]);
    t.strictSame(await labelsFor('True', 'False'), [0, 1]);
    t.strictSame(await labelsFor('spam', 'ham'), [1, 0]);
  });
}

t.test('an index may be written as Python writes a float', async (t) => {
  const path = file('.csv', 'sentence,label\ngood,1.0\nbad,0.0\n');
  t.same(
    (await readExamples(path, sst2)).map(({ label }) => label),
    [1, 0],
  );
  await t.rejects(readExamples(file('.csv', 'sentence,label\ngood,0.5\n'), sst2), {
    message: /label "0\.5" is unknown/,
  });
});

t.test('columns without a name may be several', async (t) => {
  const path = file('.csv', ',sentence,label,,\n0,good,1,,\n');
  t.same(await readExamples(path, sst2), [{ text: 'good', label: 1 }]);
});

t.test('lines of white space between JSON lines are empty', async (t) => {
  const path = file('.jsonl', '{"sentence": "good", "label": 1}\n  \n\t\r\n');
  t.equal((await readExamples(path, sst2)).length, 1);
});

t.test('a column may have the name of an object’s property', async (t) => {
  const path = file('.tsv', '__proto__\tlabel\ntext\t1\n');
  t.same(await readExamples(path, own, { text: '__proto__' }), [{ text: 'text', label: 1 }]);
});

t.test('regression labels are numbers', async (t) => {
  const path = file('.tsv', 'sentence1\tsentence2\tscore\na\tb\t3.250\n');
  t.same(await readExamples(path, findTask('stsb')), [{ text: 'a', pair: 'b', label: 3.25 }]);
});

t.test('labels: none missing, none that the task does not know', async (t) => {
  const examples = [
    { text: 'a', label: 1 },
    { text: 'b', label: 0 },
  ];
  t.same(labelsOf(examples, sst2), [1, 0]);
  for (const label of [undefined, 2, -1, 0.5, Number.NaN]) {
    const message = `example 3 has the label ${label} (task sst2 needs "negative", "positive" or 0 to 1)`;
    t.throws(() => labelsOf([...examples, { text: 'c', label }], sst2), { code: 'ERR_DATA', message });
  }
  t.throws(() => labelsOf([{ text: 'a', label: Number.NaN }], findTask('stsb')), { code: 'ERR_DATA' });
  t.throws(() => labelsOf([{ text: 'a', label: [] }], sst2), { code: 'ERR_DATA', message: /the label \[\]/ });
});

t.test('without labels their column is not looked at', async (t) => {
  const path = file('.tsv', 'index\tsentence1\tsentence2\n0\ta\tb\n1\tc\td\n');
  const expected = [
    { text: 'a', pair: 'b' },
    { text: 'c', pair: 'd' },
  ];
  t.same(await readExamples(path, findTask('mnli'), {}, { labels: false }), expected);
  const labelled = file('.csv', 'sentence1,sentence2,gold_label\na,b,-\nc,d,perhaps\n');
  t.same(await readExamples(labelled, findTask('mnli'), {}, { labels: false }), expected);
});

t.test('CoLA: files with a header and official ones without', async (t) => {
  const cola = findTask('cola');
  const official = file('.tsv', 'gj04\t1\t\tOne more sentence.\nbc81\t0\t*\tThe label annotation source.\n');
  t.same(await readExamples(official, cola), [
    { text: 'One more sentence.', label: 1 },
    { text: 'The label annotation source.', label: 0 },
  ]);
  const test = file('.tsv', 'index\tsentence\n0\tOne more.\n');
  t.same(await readExamples(test, cola, {}, { labels: false }), [{ text: 'One more.' }]);
  const own = file('.tsv', 'label\tsentence\n1\tOne more.\n');
  t.same(await readExamples(own, cola), [{ text: 'One more.', label: 1 }]);
});

t.test('QQP: lines that lack fields are left out, as in the data sets made from the official files', async (t) => {
  const path = file('.tsv', 'id\tquestion1\tquestion2\tis_duplicate\n0\ta\tb\t1\n1\tc\n2\t"d\te"\t0\n');
  t.same(await readExamples(path, findTask('qqp')), [
    { text: 'a', pair: 'b', label: 1 },
    { text: '"d', pair: 'e"', label: 0 },
  ]);
});

t.test('MNLI: training and development files differ in columns, examples nobody agreed on are left out', async (t) => {
  const mnli = findTask('mnli');
  const train = 'index\tsentence1\tsentence2\tlabel1\tgold_label\n0\ta\tb\tneutral\tneutral\n';
  const dev =
    'index\tsentence1\tsentence2\tlabel1\tlabel2\tgold_label\n0\ta\tb\tneutral\tentailment\t-\n1\tc\td\tneutral\tneutral\tneutral\n';
  t.same(await readExamples(file('.tsv', train), mnli), [{ text: 'a', pair: 'b', label: 1 }]);
  t.same(await readExamples(file('.tsv', dev), mnli), [{ text: 'c', pair: 'd', label: 1 }]);
});

t.test('reads the GLUE files', { skip: !hasShared && 'the shared data are absent' }, async (t) => {
  for (const [name, path, rows] of [
    ['sst2', 'SST-2/dev.tsv', 872],
    ['mrpc', 'MRPC/train.tsv', 3668],
    ['stsb', 'STS-B/dev.tsv', 1500],
    ['qnli', 'QNLI/dev.tsv', 5463],
    ['qqp', 'QQP/dev.tsv', 5000],
    ['mnli', 'MNLI/dev_matched.tsv', 9815],
  ] as const) {
    t.equal((await readExamples(sharedPath('data', 'glue', path), findTask(name))).length, rows, name);
  }
});
