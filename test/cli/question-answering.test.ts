import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runCli } from '../support/cli.js';
import { sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';
import { officialJson, questions, writeTinyQuestionAnswering } from '../support/tiny-question-answering.js';

const directory = temporaryDirectory();
const path = (name: string) => join(directory, name);
const checkpoint = writeTinyQuestionAnswering(path('model'));
writeFileSync(path('dev.json'), officialJson(questions));
const predict = ['predict', checkpoint];
const jsonLines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

t.test('predict answers a question however it is given', async (t) => {
  const [question, context] = ['who left?', 'the younger one left.'];
  const named = await runCli([...predict, '--json', '--question', question, '--context', context]);
  t.equal(named.status, 0, named.stderr);
  const [found] = jsonLines(named.stdout);
  t.strictSame(Object.keys(found), ['text', 'pair', 'answer', 'probability', 'start', 'end']);
  t.equal(found.answer, context.slice(found.start, found.end));
  t.equal((await runCli([...predict, '--json', `${question}\t${context}`])).stdout, named.stdout);
  t.equal((await runCli([...predict, '--json'], { input: `${question}\t${context}\n` })).stdout, named.stdout);
  const plain = await runCli([...predict, '--question', question, '--context', context]);
  t.equal(plain.stdout, `${found.answer}\t${found.probability.toFixed(4)}\t${question}\t${context}\n`);
});

t.test('evaluate and predict write the same answers for a file of questions', async (t) => {
  const evaluated = await runCli([
    ...['evaluate', checkpoint, '--task', 'squad', '--eval', path('dev.json'), '--json', '--quiet'],
    ...['--predictions', path('evaluated.json')],
  ]);
  t.equal(evaluated.status, 0, evaluated.stderr);
  t.match(JSON.parse(evaluated.stdout), { task: 'squad', metrics: { exact_match: Number, f1: Number }, examples: 4 });
  const predicted = await runCli([
    ...[...predict, '--task', 'squad', '--input', path('dev.json'), '--json'],
    ...['--predictions', path('predicted.json')],
  ]);
  t.equal(predicted.status, 0, predicted.stderr);
  const answers = JSON.parse(readFileSync(path('evaluated.json'), 'utf8'));
  t.strictSame(
    Object.keys(answers),
    questions.map(({ id }) => id),
  );
  t.strictSame(JSON.parse(readFileSync(path('predicted.json'), 'utf8')), answers);
  t.strictSame(Object.fromEntries(jsonLines(predicted.stdout).map(({ id, answer }) => [id, answer])), answers);
});

t.test('predict writes a submission to GLUE for a test file without labels', async (t) => {
  writeFileSync(path('test.tsv'), 'index\tsentence\n0\tA complete mess.\n1\tWhat a lovely surprise!\n');
  const options = ['--task', 'sst2', '--input', path('test.tsv'), '--predictions', path('SST-2.tsv')];
  const { status, stdout, stderr } = await runCli(['predict', sentimentMini, ...options]);
  t.equal(status, 0, stderr);
  t.match(stdout, /^negative\t0\.\d{4}\tA complete mess\.\npositive\t/);
  t.equal(readFileSync(path('SST-2.tsv'), 'utf8'), 'index\tprediction\n0\t0\n1\t1\n');
  const again = await runCli(['predict', sentimentMini, ...options]);
  t.equal(again.status, 1);
  t.match(again.stderr, 'SST-2.tsv exists');
  t.equal((await runCli(['predict', sentimentMini, ...options, '--force'])).status, 0);
});

t.test('a question without a context is refused, and no file is written', async (t) => {
  const { status, stderr } = await runCli([...predict, '--predictions', path('none.json'), 'who left?']);
  t.equal(status, 1);
  t.match(stderr, /^espalier: the question "who left\?" has no context \(give it as the pair\)\n$/);
  t.notOk(existsSync(path('none.json')));
});

t.test('a line without a context is refused with its number, after the answers before it', async (t) => {
  const input = 'who left?\tthe younger one left.\nwho left?\n';
  const { status, stdout, stderr } = await runCli([...predict, '--json'], { input });
  t.equal(status, 1);
  t.match(stderr, /^espalier: -, line 2: no tab between a question and its context in "who left\?"\n$/);
  t.match(jsonLines(stdout), [{ text: 'who left?', pair: 'the younger one left.' }]);
});
