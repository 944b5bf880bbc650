import t from 'tap';
import { resolveTask } from '../../src/tasks/task.js';

/** The lines that GLUE gets of predictions with these logits, by a model with these labels. */
function submission(task: string, labels: string[], ...logits: number[][]): string {
  const problem = labels.length === 1 ? 'regression' : 'classification';
  const { predict, submission } = resolveTask({ config: {}, labels, problem }, task);
  const predictions = logits.map((row) => predict([], [Float32Array.from(row)], { text: '' }));
  return submission(predictions, []);
}

const unnamed = (count: number) => Array.from({ length: count }, (_, index) => `LABEL_${index}`);

t.test('the tasks of numbers get numbers, in the official order whatever the model’s', async (t) => {
  for (const task of ['cola', 'sst2', 'mrpc', 'qqp', 'wnli']) {
    t.equal(submission(task, unnamed(2), [0, 1], [1, 0], [0, 0]), 'index\tprediction\n0\t1\n1\t0\n2\t0\n', task);
  }
  t.equal(submission('sst2', ['POSITIVE', 'NEGATIVE'], [0, 1], [1, 0]), 'index\tprediction\n0\t0\n1\t1\n');
  t.equal(submission('sst2', ['bad', 'good'], [0, 1], [1, 0]), 'index\tprediction\n0\t1\n1\t0\n');
});

t.test('the tasks of words get the official words, whatever the model’s', async (t) => {
  for (const task of ['qnli', 'rte']) {
    t.equal(
      submission(task, unnamed(2), [0, 1], [1, 0]),
      'index\tprediction\n0\tnot_entailment\n1\tentailment\n',
      task,
    );
  }
  t.equal(
    submission('mnli', ['CONTRADICTION', 'ENTAILMENT', 'NEUTRAL'], [1, 0, 0], [0, 1, 0], [0, 0, 1]),
    'index\tprediction\n0\tcontradiction\n1\tentailment\n2\tneutral\n',
  );
  t.equal(submission('rte', ['yes', 'no'], [1, 0]), 'index\tprediction\n0\tentailment\n');
});

t.test('STS-B gets scores of 0 to 5 with three decimals', async (t) => {
  t.equal(
    submission('stsb', unnamed(1), [-0.25], [2.34567], [5.5], [4]),
    'index\tprediction\n0\t0.000\n1\t2.346\n2\t5.000\n3\t4.000\n',
  );
});

t.test('a task of one’s own gets its labels’ names or its values', async (t) => {
  t.equal(submission('classification', ['bad', 'so-so', 'good'], [0, 0, 1]), 'index\tprediction\n0\tgood\n');
  t.equal(submission('regression', unnamed(1), [-0.25]), 'index\tprediction\n0\t-0.25\n');
});
