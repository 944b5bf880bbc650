import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readExamples, readUnlabelled } from '../../src/data/examples.js';
import { Random } from '../../src/data/random.js';
import { EspalierError } from '../../src/native/errors.js';
import { findTask } from '../../src/tasks/task.js';
import { mutate } from './support/mutate.js';

const sound = {
  '.tsv': 'sentence\tlabel\nit \'s a "charming" journey\t1\r\nunflinchingly bleak é\tnegative\n\nfine\t1',
  '.csv': 'sentence,label\n"it\'s, a ""charming"" journey",1\r\nunflinchingly bleak é,negative\n',
  '.jsonl': '{"sentence": "a \\"charming\\" journey", "label": 1}\n{"label": "negative", "sentence": "bleak é"}\n',
  '.json': '[{"sentence": "a charming journey", "label": 1}, {"label": "negative", "sentence": "bleak é"}]',
};

t.test('a spoilt data file is read or refused with ERR_DATA, whatever its format', async (t) => {
  const directory = t.testdir();
  const task = findTask('sst2');
  const random = new Random(2);
  for (const [extension, content] of Object.entries(sound)) {
    const path = join(directory, `fuzz${extension}`);
    const counts = { read: 0, refused: 0 };
    for (let round = 0; round < 500; round++) {
      let bytes: Buffer = Buffer.from(content);
      for (let times = random.below(3); times >= 0; times--) bytes = mutate(bytes, random);
      writeFileSync(path, bytes);
      try {
        const examples = await readExamples(path, task);
        if (!examples.every(({ text, label }) => typeof text === 'string' && (label === 0 || label === 1))) {
          t.fail(`${extension}, round ${round}: not examples`);
        }
        counts.read++;
      } catch (error) {
        if (!(error instanceof EspalierError) || error.code !== 'ERR_DATA')
          t.fail(`${extension}, round ${round}: ${error}`);
        counts.refused++;
      }
    }
    t.ok(counts.read > 10 && counts.refused > 10, `${extension}: ${counts.read} read, ${counts.refused} refused`);
  }
});

t.test('a spoilt plain text is read line by line or refused with ERR_DATA', async (t) => {
  const path = join(t.testdir(), 'fuzz.txt');
  const random = new Random(3);
  const counts = { read: 0, refused: 0 };
  for (let round = 0; round < 500; round++) {
    let bytes: Buffer = Buffer.from('it \'s a "charming" journey\r\n\nunflinchingly bleak é\tand more\nfine');
    for (let times = random.below(3); times >= 0; times--) bytes = mutate(bytes, random);
    writeFileSync(path, bytes);
    try {
      for await (const { text } of readUnlabelled(path, { text: 'text' })) {
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
