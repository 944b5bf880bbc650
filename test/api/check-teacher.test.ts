import t from 'tap';
import { checkTeacher } from '../../src/api/check-teacher.js';
import { LoadedModel, loadModel } from '../../src/api/model.js';
import type { ModelSpec } from '../../src/native/addon.js';
import { resolveTask } from '../../src/tasks/task.js';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { sentimentMini } from '../support/paths.js';

const model = await loadModel(sentimentMini);
t.teardown(() => model.dispose());

interface Change {
  spec?: Partial<ModelSpec>;
  labels?: string[];
  problem?: LoadedModel['checkpoint']['problem'];
  vocabulary?: Map<string, number>;
}

/** What another model says of itself. */
function changed({ spec, vocabulary, ...checkpoint }: Change): LoadedModel {
  const native = { spec: { ...model.native.spec, ...spec } } as LoadedModel['native'];
  const tokenizer = { vocabulary: vocabulary ?? model.tokenizer.vocabulary } as Tokenizer;
  return new LoadedModel({ ...model.checkpoint, ...checkpoint }, tokenizer, native, 0);
}

const check = (teacher: Change, student: Change = {}, name = 'sst2') => {
  const learner = changed(student);
  checkTeacher(learner, changed(teacher), resolveTask(learner.checkpoint, name));
};

t.test('a teacher shares depth, width, positions and token types, or is refused', async (t) => {
  const { layers, maxPositions } = model.native.spec;
  for (const [change, message] of [
    [{ spec: { layers: [...layers, ...layers] } }, "the teacher's number of layers is 8 and the model's 4"],
    [{ spec: { hiddenSize: 768 } }, "the teacher's hidden size is 768 and the model's 192"],
    [{ spec: { tokenTypes: 1 } }, "the teacher's number of token types is 1 and the model's 2"],
    [{ spec: { maxPositions: 64 } }, 'the teacher reads 64 tokens at most and the model 128'],
    [{ labels: ['a', 'b', 'c'] }, "the teacher's number of labels is 3 and the model's 2"],
    [{ problem: 'span' as const }, "the teacher's problem is span and the model's classification"],
  ] as const) {
    t.throws(() => check(change as Change), { code: 'ERR_OPTION', message: `${message} (give another teacher)` });
  }
  t.doesNotThrow(() => check({ spec: { maxPositions: 2 * maxPositions } }), 'it may read more');
});

t.test('a teacher knows every token of the model by its id', async (t) => {
  const { vocabulary } = model.tokenizer;
  t.doesNotThrow(() => check({ vocabulary: new Map([...vocabulary, ['<more>', vocabulary.size]]) }));
  const swapped = new Map([...vocabulary, ['!', vocabulary.get('?') as number], ['?', vocabulary.get('!') as number]]);
  t.throws(() => check({ vocabulary: swapped }), {
    code: 'ERR_OPTION',
    message: 'the teacher has another vocabulary, in which "!" is not token 5 (give another teacher)',
  });
});

t.test('the labels of teacher and model are the same, where they were named', async (t) => {
  const unnamed = ['LABEL_0', 'LABEL_1'];
  const reversed = ['POSITIVE', 'NEGATIVE'];
  t.doesNotThrow(() => check({ labels: ['NEGATIVE', 'POSITIVE'] }), 'in whatever case');
  t.doesNotThrow(() => check({ labels: unnamed }));
  t.doesNotThrow(() => check({}, { labels: unnamed }));
  t.doesNotThrow(() => check({ labels: ['ham', 'spam'] }, { labels: unnamed }, 'classification'));
  const message =
    'the teacher\'s labels are "POSITIVE", "NEGATIVE" and the model\'s "negative", "positive" (give another teacher)';
  t.throws(() => check({ labels: reversed }), { code: 'ERR_OPTION', message });
  t.throws(() => check({ labels: reversed }, { labels: unnamed }), { message }, "the task's order is the model's");
  t.throws(() => check({ labels: ['ham', 'spam'] }, {}, 'classification'), {
    code: 'ERR_OPTION',
    message: /"ham", "spam"/,
  });
});
