import { EspalierError } from '../native/errors.js';
import { longestInput } from '../native/longest-input.js';
import { quote, quoteSome } from '../quote.js';
import { isNamed } from '../tasks/classification.js';
import { resolveTask, type Task } from '../tasks/task.js';
import type { LoadedModel } from './model.js';

/** What a teacher shares with what it teaches. */
const shared: [name: string, of: (model: LoadedModel) => string | number][] = [
  ['problem', ({ checkpoint }) => checkpoint.problem],
  ['number of labels', ({ checkpoint }) => checkpoint.labels.length],
  ['number of layers', ({ native }) => native.spec.layers.length],
  ['hidden size', ({ native }) => native.spec.hiddenSize],
  ['number of token types', ({ native }) => native.spec.tokenTypes],
];

/**
 * Throws ERR_OPTION where a model cannot learn a task from a teacher: their layers and logits are compared one by one, and
 * both read the model's tokens.
 */
export function checkTeacher(model: LoadedModel, teacher: LoadedModel, task: Task): void {
  for (const [name, of] of shared) {
    if (of(teacher) !== of(model))
      throw refused(`the teacher's ${name} is ${of(teacher)} and the model's ${of(model)}`);
  }
  const [longest, needed] = [longestInput(teacher.native.spec), longestInput(model.native.spec)];
  if (longest < needed) throw refused(`the teacher reads ${longest} tokens at most and the model ${needed}`);
  const { vocabulary } = teacher.tokenizer;
  for (const [token, id] of model.tokenizer.vocabulary) {
    if (vocabulary.get(token) === id) continue;
    throw refused(`the teacher has another vocabulary, in which ${quote(token)} is not token ${id}`);
  }
  const { labels } = resolveTask(teacher.checkpoint, task.name);
  if (!task.labels || !labels || !isNamed(task.labels) || !isNamed(labels)) return;
  if (labels.every((label, index) => label.toLowerCase() === task.labels?.[index]?.toLowerCase())) return;
  throw refused(`the teacher's labels are ${quoteSome(labels)} and the model's ${quoteSome(task.labels)}`);
}

const refused = (reason: string): EspalierError => new EspalierError('ERR_OPTION', `${reason} (give another teacher)`);
