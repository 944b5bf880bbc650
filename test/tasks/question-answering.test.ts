import t from 'tap';
import type { Example, GoldAnswer } from '../../src/data/examples.js';
import { findTask } from '../../src/tasks/task.js';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { sentimentMini } from '../support/paths.js';
import { readSquadGolden } from '../support/squad-golden.js';

const squad = findTask('squad');
const squad2 = findTask('squad_v2');
const tokenizer = await loadTokenizer(sentimentMini);

t.test('windows and the tokens of their answers are those of transformers', async (t) => {
  const { context, windows } = readSquadGolden();
  for (const { question, maxLength, answers, ids, labels } of windows) {
    const example: Example = { text: question, pair: context };
    const golds = squad2.readLabel(answers, context) as GoldAnswer[];
    const encodings = squad2.encode(example, tokenizer, maxLength);
    t.strictSame(
      encodings.map((encoding) => encoding.ids),
      ids,
      `${question} in windows of ${maxLength}`,
    );
    t.equal(squad2.countSequences(example, tokenizer, maxLength), ids.length);
    t.strictSame(
      encodings.map((encoding) => squad2.targets(golds, encoding)),
      labels,
      `answer to ${question} in windows of ${maxLength}`,
    );
  }
});

t.test('an answer is a stretch of the context, out of whichever window says so loudest', async (t) => {
  const pair = `${'Nobody knows. '.repeat(6)}It was built in 1912.`;
  const example = { text: 'When was it built?', pair };
  const encodings = squad.encode(example, tokenizer, 24);
  t.ok(encodings.length > 2);
  const logits = encodings.map(({ ids }) => new Float32Array(2 * ids.length));
  const last = encodings.at(-1);
  const spoken = last?.starts.findIndex(
    (start, token) => last.sequences[token] === 1 && pair.startsWith('1912', start),
  );
  const until = last?.ends.findIndex(
    (end, token) => last.sequences[token] === 1 && pair.slice(0, end).endsWith('1912'),
  );
  for (const values of logits) values.set([3, 3], 0);
  logits.at(-1)?.set([5], 2 * Number(spoken));
  logits.at(-1)?.set([5], 2 * Number(until) + 1);
  const answer = squad.predict(encodings, logits, example);
  t.match(answer, { answer: '1912', start: pair.indexOf('1912'), end: pair.length - 1 });
  t.match(squad2.predict(encodings, logits, example), { answer: '1912' });
  for (const values of logits) values.set([6, 6], 0);
  t.match(squad2.predict(encodings, logits, example), { answer: '', start: 0, end: 0 });
  t.match(squad.predict(encodings, logits, example), { answer: '1912' }, 'SQuAD 1.1 always has an answer');
});

t.test('labels given as objects have to stand in the context', async (t) => {
  const example = { text: 'When?', pair: 'It was built in 1912.' };
  t.ok(squad.isLabel([{ text: '1912', start: 16 }], example));
  t.ok(squad2.isLabel([], example));
  const refused = [[], 16, [{ text: '1912', start: 15 }], [{ text: '', start: 0 }], [null], [{ start: 16 }]];
  for (const label of refused) t.notOk(squad.isLabel(label as GoldAnswer[], example), JSON.stringify(label));
});

t.test('a question that leaves the context no room, or has none, is refused', async (t) => {
  const long = { text: 'Why? '.repeat(200), pair: 'Because.' };
  t.throws(() => squad.encode(long, tokenizer, 384), {
    code: 'ERR_DATA',
    message: /^the question "Why\? .*\.\.\.: the question leaves 0 tokens for the context/,
  });
  t.throws(() => squad.encode({ text: 'Why?' }, tokenizer, 384), {
    code: 'ERR_DATA',
    message: /"Why\?" has no context/,
  });
});

t.test('an empty context has no answer', async (t) => {
  const example = { text: 'Why?', pair: '' };
  const encodings = squad.encode(example, tokenizer, 384);
  const logits = encodings.map(({ ids }) => new Float32Array(2 * ids.length));
  for (const task of [squad, squad2]) t.match(task.predict(encodings, logits, example), { answer: '' });
  t.strictSame(squad2.targets([], encodings[0] as (typeof encodings)[0]), [0, 0]);
});

t.test('the file of predictions is the official one: answers by id, by number where there are none', async (t) => {
  const answers = ['1912', '"in" 1912', ''].map((answer) => ({ answer, probability: 1, start: 0, end: 0 }));
  const examples = [{ id: '56be', text: '' }, { text: '' }, { id: '__proto__', text: '' }];
  t.same(
    JSON.parse(squad.submission(answers, examples)),
    JSON.parse('{"56be":"1912","1":"\\"in\\" 1912","__proto__":""}'),
  );
});
