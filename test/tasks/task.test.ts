import t from 'tap';
import { EspalierError } from '../../src/native/errors.js';
import { findTask, namedTask, resolveTask, taskNames } from '../../src/tasks/task.js';

const model = (labels: string[], config: Record<string, unknown> = {}) => ({
  config,
  labels,
  problem: labels.length === 1 ? ('regression' as const) : ('classification' as const),
});
const unnamed = (count: number) => Array.from({ length: count }, (_, index) => `LABEL_${index}`);

t.test('every GLUE task has its official columns, lengths, labels, loss and metrics', async (t) => {
  const pair = ['sentence1', 'sentence2', 'label'] as const;
  const official = [
    ['cola', ['sentence', undefined, 'label'], 64, 11.67, ['unacceptable', 'acceptable'], ['matthews_correlation']],
    ['sst2', ['sentence', undefined, 'label'], 64, 25.16, ['negative', 'positive'], ['accuracy']],
    ['mrpc', ['#1 String', '#2 String', 'Quality'], 128, 53.24, ['not_equivalent', 'equivalent'], ['accuracy', 'f1']],
    ['stsb', ['sentence1', 'sentence2', 'score'], 128, 31.47, undefined, ['pearson', 'spearman']],
    ['qqp', ['question1', 'question2', 'is_duplicate'], 128, 30.55, ['not_duplicate', 'duplicate'], ['accuracy', 'f1']],
    ['qnli', ['question', 'sentence', 'label'], 128, 50.97, ['entailment', 'not_entailment'], ['accuracy']],
    [
      'mnli',
      ['sentence1', 'sentence2', 'gold_label'],
      128,
      39.05,
      ['entailment', 'neutral', 'contradiction'],
      ['accuracy'],
    ],
    ['rte', pair, 128, 64.59, ['entailment', 'not_entailment'], ['accuracy']],
    ['wnli', pair, 128, undefined, ['not_entailment', 'entailment'], ['accuracy']],
  ] as const;
  t.same(taskNames, [...official.map(([name]) => name), 'squad', 'squad_v2', 'classification', 'regression']);
  for (const [name, [text, pair, label], maxLength, averageLength, labels, metrics] of official) {
    const task = findTask(name);
    const loss = labels ? 'crossEntropy' : 'meanSquared';
    t.match(task, { name, columns: { text, pair, label }, maxLength, averageLength, labels, loss, miniBatch: 32 });
    t.equal(task.kind, labels ? 'classification' : 'regression');
    const predictions = [0, 1].map(() => task.predict([], [new Float32Array(labels?.length ?? 1)], { text: '' }));
    t.same(Object.keys(task.metrics(predictions, [0, 1])), metrics, name);
  }
});

t.test('the SQuAD tasks have their columns, lengths, loss and metrics', async (t) => {
  for (const name of ['squad', 'squad_v2']) {
    t.match(findTask(name), {
      kind: 'span',
      loss: 'span',
      columns: { id: 'id', text: 'question', pair: 'context', label: 'answers' },
      maxLength: 384,
      averageLength: 170,
      miniBatch: 12,
    });
    const none = { answer: '', probability: 1, start: 0, end: 0 };
    t.same(Object.keys(findTask(name).metrics([none], [[{ text: 'a', start: 0 }]])), ['exact_match', 'f1']);
  }
});

t.test('an unknown task names the known ones', async (t) => {
  for (const name of ['sst3', 'constructor', '']) {
    t.throws(() => findTask(name), { code: 'ERR_TASK', message: /tasks: cola, sst2, .*squad_v2, .*regression/ });
  }
});

t.test('labels are read by name and by index', async (t) => {
  const { readLabel } = findTask('qnli');
  t.equal(readLabel('entailment'), 0);
  t.equal(readLabel(' Not_Entailment\t'), 1);
  t.equal(readLabel('1'), 1);
  t.equal(readLabel(0), 0);
  t.equal(readLabel('1.0'), 1);
  for (const value of ['', '2', '-1', '1.5', '1.', 'neutral', '0x1', '1e0'])
    t.equal(readLabel(value), undefined, value);
});

t.test('real label names in config.json decide, LABEL_n do not', async (t) => {
  t.same(resolveTask(model(unnamed(3)), 'mnli').labels, ['entailment', 'neutral', 'contradiction']);
  const official = resolveTask(model(['CONTRADICTION', 'ENTAILMENT', 'NEUTRAL']), 'mnli');
  t.same(official.labels, ['CONTRADICTION', 'ENTAILMENT', 'NEUTRAL']);
  t.equal(official.readLabel('entailment'), 1);
  t.equal(official.readLabel('contradiction'), 0);
});

t.test('an index counts in the order of the names it stands for', async (t) => {
  const swapped = resolveTask(model(['equivalent', 'not_equivalent']), 'mrpc');
  t.equal(swapped.readLabel('1'), 0, 'the official 1 is "equivalent"');
  t.equal(resolveTask(model(['NO', 'YES']), 'mrpc').readLabel('1'), 1, 'names of its own: by position');
  const stars = resolveTask(model(['1', '2', '3']), 'classification');
  t.equal(stars.readLabel('1'), 0, 'a number that is a name is a name');
  t.equal(stars.readLabel('0'), undefined);
});

t.test('names that differ only in case stay apart', async (t) => {
  const { readLabel } = resolveTask(model(['a', 'A']), 'classification');
  t.equal(readLabel('a'), 0);
  t.equal(readLabel('A'), 1);
});

t.test('f1 is that of the official positive label wherever the model has it', async (t) => {
  const gold = ['1', '1', '1', '0'];
  const score = (labels: string[], logits: number[]) => {
    const task = resolveTask(model(labels), 'mrpc');
    const predictions = gold.map((_, index) =>
      task.predict([], [Float32Array.from(logits.slice(2 * index, 2 * index + 2))], { text: '' }),
    );
    return task.metrics(
      predictions,
      gold.map((label) => task.readLabel(label) as number),
    );
  };
  const expected = { accuracy: 0.75, f1: 6 / 7 };
  t.same(score(unnamed(2), [0, 1, 0, 1, 0, 1, 0, 1]), expected);
  t.same(score(['equivalent', 'not_equivalent'], [1, 0, 1, 0, 1, 0, 1, 0]), expected);
});

t.test('regression reads finite numbers', async (t) => {
  const { readLabel } = findTask('regression');
  for (const [value, expected] of [
    ['5.000', 5],
    ['-.5', -0.5],
    ['1e-3', 0.001],
    ['+2.', 2],
    [3.25, 3.25],
  ] as const) {
    t.equal(readLabel(value), expected);
  }
  for (const value of ['', 'high', 'NaN', 'Infinity', '1e99', '1,5', '0x10', '1 2'])
    t.equal(readLabel(value), undefined, value);
});

t.test('a head that is not the task’s is refused', async (t) => {
  const refused = (labels: string[], name: string, message: RegExp) =>
    t.throws(() => resolveTask(model(labels), name), { name: 'EspalierError', code: 'ERR_TASK', message });
  refused(unnamed(3), 'sst2', /sst2 has 2 labels \(negative, positive\), the checkpoint has 3/);
  refused(['a', 'b', 'c'], 'sst2', /has 2 labels/);
  refused(unnamed(2), 'mnli', /has 3 labels/);
  refused(unnamed(1), 'mrpc', /mrpc needs a model for classification and the checkpoint is one for regression/);
  refused(unnamed(2), 'stsb', /stsb needs a model for regression and the checkpoint is one for classification/);
});

t.test('a task left out is the one that config.json names', async (t) => {
  t.equal(resolveTask(model(unnamed(2), { finetuning_task: 'SST-2' })).name, 'sst2');
  t.equal(resolveTask(model(unnamed(1), { finetuning_task: 'sts-b' })).name, 'stsb');
  t.equal(namedTask({ finetuning_task: 'mrpc', espalier: { task: 'qqp' } }), 'qqp', 'our own field comes first');
  t.equal(namedTask({ finetuning_task: null }), undefined);
  t.throws(() => resolveTask(model(unnamed(2))), { code: 'ERR_TASK', message: /give --task: cola, sst2/ });
  t.throws(() => resolveTask(model(unnamed(2), { finetuning_task: 'xnli' })), EspalierError);
});
