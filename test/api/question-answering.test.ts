import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { evaluate, loadModel, predict, prune } from '../../src/index.js';
import { temporaryDirectory } from '../support/temporary.js';
import { officialJson, questions, writeTinyQuestionAnswering } from '../support/tiny-question-answering.js';

const directory = temporaryDirectory();
const path = (name: string) => join(directory, name);
const checkpoint = writeTinyQuestionAnswering(path('model'));
writeFileSync(path('dev.json'), officialJson(questions));
const ids = questions.map(({ id }) => id as string);
const readAnswers = (file: string): Record<string, string> => JSON.parse(readFileSync(path(file), 'utf8'));

t.test('answers do not depend on batches, order or neighbours', async (t) => {
  await using model = await loadModel(checkpoint);
  const alone: Record<string, string> = {};
  for (const question of questions) {
    const [answer] = await predict(model, [question], { task: 'squad' });
    t.match(answer, { answer: String, probability: Number });
    const { answer: text, start, end } = answer as { answer: string; start: number; end: number };
    t.equal(text, question.pair?.slice(start, end));
    t.not(text, '');
    alone[question.id as string] = text;
  }
  for (const [name, examples, batch] of [
    ['single', questions, 1],
    ['together', questions, 32],
    ['reversed', questions.toReversed(), 3],
  ] as const) {
    const { examples: count } = await evaluate(model, { task: 'squad', examples, batch, predictions: path(name) });
    t.equal(count, questions.length, 'questions are counted, not windows');
    t.strictSame(Object.fromEntries(ids.map((id) => [id, readAnswers(name)[id]])), alone, name);
  }
});

t.test('evaluate judges questions of a file, the first ones under a limit', async (t) => {
  await using model = await loadModel(checkpoint);
  const options = { task: 'squad', examples: path('dev.json') };
  const all = await evaluate(model, options);
  t.strictSame(all.metrics, (await evaluate(model, { ...options, examples: questions })).metrics);
  const first = await evaluate(model, { ...options, limit: 1, predictions: path('first.json') });
  t.strictSame(Object.keys(readAnswers('first.json')), ['built']);
  t.ok(first.examples === 1 && first.tokens > 64, 'one question of several windows');
  t.ok(first.tokens < all.tokens);
});

t.test('right answers score 1, and squad_v2 may find none', async (t) => {
  await using model = await loadModel(checkpoint);
  const predictions = await predict(model, questions);
  const golds = predictions.map((prediction) => {
    const { answer: text, start } = prediction as { answer: string; start: number };
    return [{ text, start }];
  });
  const examples = questions.map((question, index) => ({ ...question, label: golds[index] as (typeof golds)[0] }));
  t.strictSame((await evaluate(model, { task: 'squad', examples })).metrics, { exact_match: 1, f1: 1 });
  const unanswered = [...questions, { id: 'none', text: 'has', pair: 'it' }].map((question) => ({
    ...question,
    label: [],
  }));
  const { metrics } = await evaluate(model, { task: 'squad_v2', examples: unanswered, predictions: path('v2.json') });
  const none = Object.values(readAnswers('v2.json')).filter((answer) => answer === '').length;
  t.ok(none > 0, 'the model finds none in a text of one word');
  t.strictSame(metrics, { exact_match: none / unanswered.length, f1: none / unanswered.length });
});

t.test('prune on windows of the questions, save, load, evaluate without naming the task', async (t) => {
  await using model = await loadModel(checkpoint);
  const options = { task: 'squad', train: path('dev.json'), eval: path('dev.json'), keep: 0.5, samples: 30 };
  await using result = await prune(model, { ...options, stages: true });
  const { achieved, dense, pruned, stages } = result.report;
  t.ok(achieved.macs <= 0.5 && achieved.macs > 0.3, `${achieved.macs}`);
  for (const metrics of [dense, pruned, ...Object.values(stages ?? {})]) {
    t.strictSame(Object.keys(metrics ?? {}), ['exact_match', 'f1']);
  }
  await result.save(path('smaller'));
  await using smaller = await loadModel(path('smaller'));
  t.strictSame((await evaluate(smaller, { examples: path('dev.json') })).metrics, pruned);
  t.match(await predict(smaller, [{ text: 'who?', pair: 'two brothers.' }]), [{ answer: String }]);
});

t.test('what does not go together is refused', async (t) => {
  await using model = await loadModel(checkpoint);
  const data = { examples: questions };
  await t.rejects(evaluate(model, { ...data, task: 'sst2' }), {
    code: 'ERR_TASK',
    message:
      'task sst2 needs a model for classification and the checkpoint is one for question answering (check --task)',
  });
  await t.rejects(evaluate(model, data), { code: 'ERR_TASK', message: /names no task/ });
  await t.rejects(predict(model, ['who?']), { code: 'ERR_DATA', message: /"who\?" has no context/ });
  await t.rejects(evaluate(model, { task: 'squad', examples: [{ text: 'who?', pair: 'two', label: 1 }] }), {
    code: 'ERR_DATA',
    message: /example 1 has the label 1 \(task squad needs one or more answers/,
  });
  const long = [{ text: 'who '.repeat(30), pair: 'two', label: [{ text: 'two', start: 0 }] }];
  await t.rejects(evaluate(model, { task: 'squad', examples: long }), {
    code: 'ERR_DATA',
    message: /the question "who /,
  });
  await t.rejects(prune(model, { task: 'squad', train: long, keep: 0.5 }), { code: 'ERR_DATA' });
});

t.test('a file of predictions appears whole, and replaces another only where that is wanted', async (t) => {
  await using model = await loadModel(checkpoint);
  const options = { task: 'squad', examples: questions, predictions: path('there.json') };
  writeFileSync(path('there.json'), 'mine');
  await t.rejects(evaluate(model, options), { code: 'ERR_OUTPUT', message: /there\.json exists/ });
  t.equal(readFileSync(path('there.json'), 'utf8'), 'mine');
  await evaluate(model, { ...options, force: true });
  t.strictSame(Object.keys(readAnswers('there.json')), ids);
  const abort = new AbortController();
  const run = evaluate(model, {
    ...options,
    batch: 1,
    predictions: path('aborted.json'),
    signal: abort.signal,
    onProgress: () => abort.abort(),
  });
  await t.rejects(run, { code: 'ERR_CANCELLED' });
  t.notOk(existsSync(path('aborted.json')));
});
