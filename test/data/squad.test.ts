import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readExamples } from '../../src/data/examples.js';
import { findTask } from '../../src/tasks/task.js';
import { hasShared, sharedPath } from '../support/paths.js';

const directory = t.testdir();
let count = 0;

function file(name: string, content: unknown): string {
  const path = join(directory, `${count++}-${name}`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const squad = findTask('squad');
const squad2 = findTask('squad_v2');
const context = 'It was built in 1912.';
const year = [{ text: '1912', answer_start: 16 }];
const questions = [
  { id: 'a', question: 'When was it built?', answers: [...year, { text: 'in 1912', answer_start: 13 }] },
  { id: 'b', question: 'What was built?', answers: [{ text: 'It', answer_start: 0 }] },
];
const official = { version: '1.1', data: [{ title: 'House', paragraphs: [{ context, qas: questions }] }] };
const expected = [
  {
    id: 'a',
    text: 'When was it built?',
    pair: context,
    label: [
      { text: '1912', start: 16 },
      { text: 'in 1912', start: 13 },
    ],
  },
  { id: 'b', text: 'What was built?', pair: context, label: [{ text: 'It', start: 0 }] },
];

t.test('the official JSON and the flat data sets made from it read alike', async (t) => {
  t.same(await readExamples(file('official.json', official), squad), expected);
  const flat = questions.map(({ answers, ...question }) => ({
    ...question,
    title: 'House',
    context,
    answers: { text: answers.map(({ text }) => text), answer_start: answers.map(({ answer_start }) => answer_start) },
  }));
  t.same(await readExamples(file('flat.jsonl', flat.map((row) => JSON.stringify(row)).join('\n')), squad), expected);
  t.same(await readExamples(file('flat.json', flat), squad), expected);
  t.same(await readExamples(file('data.json', { version: 'own', data: flat }), squad), expected);
});

t.test('SQuAD 2.0: a question without answers', async (t) => {
  const none = { id: 'c', question: 'Who built it?', is_impossible: true, answers: [], plausible_answers: year };
  const path = file('v2.json', { data: [{ paragraphs: [{ context, qas: [none] }] }] });
  t.same(await readExamples(path, squad2), [{ id: 'c', text: 'Who built it?', pair: context, label: [] }]);
  const flat = { ...none, context, answers: { text: [], answer_start: [] } };
  t.match(await readExamples(file('v2.jsonl', flat), squad2), [{ id: 'c', label: [] }]);
});

t.test('answer_start counts characters that take two code units as one', async (t) => {
  const text = '𝔘𝔫𝔦 😀 is 😀😀';
  const points = [...text];
  const answers = [{ text: '😀😀', answer_start: points.length - 2 }];
  const path = file('astral.jsonl', { id: 1, question: 'What?', context: text, answers });
  const [example] = await readExamples(path, squad);
  t.same(example?.label, [{ text: '😀😀', start: text.length - 4 }]);
  t.equal(example?.id, '1', 'a number may be the id');
});

t.test('questions to predict need no answers, and none need ids', async (t) => {
  const path = file('test.jsonl', { question: 'When?', context });
  t.same(await readExamples(path, squad, {}, { labels: false }), [{ text: 'When?', pair: context }]);
});

t.test('columns of one’s own', async (t) => {
  const path = file('own.jsonl', { q: 'When?', passage: context, gold: year });
  const columns = { text: 'q', pair: 'passage', label: 'gold' };
  t.match(await readExamples(path, squad, columns), [{ text: 'When?', pair: context, label: [{ start: 16 }] }]);
});

t.test('reads the SQuAD files', { skip: !hasShared && 'the shared data are absent' }, async (t) => {
  for (const [name, task, rows] of [
    ['dev-v1.1.json', squad, 10_570],
    ['train-v1.1.json', squad, 11_877],
    ['dev-v2.0.json', squad2, 6_078],
  ] as const) {
    t.equal((await readExamples(sharedPath('data', 'squad', name), task)).length, rows, name);
  }
});
