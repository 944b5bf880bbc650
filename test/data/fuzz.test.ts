import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Example, readExamples, streamExamples } from '../../src/data/examples.js';
import { Random } from '../../src/data/random.js';
import { EspalierError } from '../../src/native/errors.js';
import { findTask } from '../../src/tasks/task.js';
import { mutate } from './support/mutate.js';

const answers = '[{"text": "1912", "answer_start": 16}, {"answer_start": 0, "text": "It"}]';
const flat = '{"text": ["😀 1912"], "answer_start": [0]}';

const sound = [
  ['sst2', '.tsv', 'sentence\tlabel\nit \'s a "charming" journey\t1\r\nunflinchingly bleak é\tnegative\n\nfine\t1'],
  ['sst2', '.csv', 'sentence,label\n"it\'s, a ""charming"" journey",1\r\nunflinchingly bleak é,negative\n'],
  [
    'sst2',
    '.jsonl',
    '{"sentence": "a \\"charming\\" journey", "label": 1}\n{"label": "negative", "sentence": "bleak é"}\n',
  ],
  ['sst2', '.json', '[{"sentence": "a charming journey", "label": 1}, {"label": "negative", "sentence": "bleak é"}]'],
  ['cola', '.tsv', 'gj04\t1\t\tit is a "charming" journey\ngj04\t0\t*\tbleak é\n'],
  [
    'squad_v2',
    '.json',
    `{"data": [{"title": "A house on a hill that nobody asked about", "paragraphs": [{"context": "It was built in 1912. And what else would you like to know of the old house, or of those who lived in it?", "qas": [{"id": "a", "question": "When?", "answers": ${answers}}, {"id": 2, "question": "Who?", "answers": []}]}]}]}`,
  ],
  ['squad', '.jsonl', `{"id": "a", "question": "When é?", "context": "😀 1912.", "answers": ${flat}}`],
] as const;

t.test('a spoilt data file is read or refused with ERR_DATA, whatever its format', async (t) => {
  const directory = t.testdir();
  const random = new Random(2);
  for (const [name, extension, content] of sound) {
    const task = findTask(name);
    const path = join(directory, `fuzz${extension}`);
    const counts = { read: 0, refused: 0 };
    for (let round = 0; round < 500; round++) {
      let bytes: Buffer = Buffer.from(content);
      for (let times = random.below(3); times >= 0; times--) bytes = mutate(bytes, random);
      writeFileSync(path, bytes);
      try {
        const examples = await readExamples(path, task);
        if (!examples.every(isExample)) t.fail(`${name}${extension}, round ${round}: not examples`);
        counts.read++;
      } catch (error) {
        if (!(error instanceof EspalierError) || error.code !== 'ERR_DATA') {
          t.fail(`${name}${extension}, round ${round}: ${error}`);
        }
        counts.refused++;
      }
    }
    t.ok(counts.read > 4 && counts.refused > 10, `${name}${extension}: ${counts.read} read, ${counts.refused} refused`);
  }
});

/** A sentence with its label, or a question with answers that stand in its context. */
function isExample({ text, pair, label }: Example): boolean {
  if (typeof text !== 'string') return false;
  if (typeof label === 'number') return pair === undefined && (label === 0 || label === 1);
  return (
    label?.every((gold) => gold.text !== '' && pair?.slice(gold.start, gold.start + gold.text.length) === gold.text) ??
    false
  );
}

t.test('a spoilt plain text is read line by line or refused with ERR_DATA', async (t) => {
  const path = join(t.testdir(), 'fuzz.txt');
  const random = new Random(3);
  const counts = { read: 0, refused: 0 };
  for (let round = 0; round < 500; round++) {
    let bytes: Buffer = Buffer.from('it \'s a "charming" journey\r\n\nunflinchingly bleak é\tand more\nfine');
    for (let times = random.below(3); times >= 0; times--) bytes = mutate(bytes, random);
    writeFileSync(path, bytes);
    try {
      for await (const { text } of streamExamples(path, findTask('sst2'), {}, { labels: false })) {
        if (typeof text !== 'string' || text.includes('\n')) t.fail(`round ${round}: no line`);
      }
      counts.read++;
    } catch (error) {
      if (!(error instanceof EspalierError) || error.code !== 'ERR_DATA') t.fail(`round ${round}: ${error}`);
      counts.refused++;
    }
  }
  t.ok(counts.read > 10 && counts.refused > 10, `${counts.read} read, ${counts.refused} refused`);
});
