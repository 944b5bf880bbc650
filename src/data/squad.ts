import { asObject } from './json.js';
import type { Row } from './rows.js';
import { badData } from './text.js';

/**
 * One row a question of SQuAD's official JSON (versions 1.1 and 2.0), with the columns of the flat data sets made from it:
 * id, question, context and, where there are any to know, answers. What has no paragraphs is such a row already, as
 * transformers' question-answering example wants them. Throws ERR_DATA.
 */
export function* squadRows(file: string, document: Record<string, unknown>): Generator<Row> {
  for (const article of list(file, { where: '', values: document }, 'data')) {
    if (!Object.hasOwn(article.values, 'paragraphs')) {
      yield article;
      continue;
    }
    for (const paragraph of list(file, article, 'paragraphs')) {
      for (const { where, values } of list(file, paragraph, 'qas')) {
        const { id, question, answers } = values;
        const { context } = paragraph.values;
        yield { where, values: { id, question, context, ...(answers === undefined ? {} : { answers }) } };
      }
    }
  }
}

/** The objects of a list, each with the path that leads to it. */
function* list(file: string, parent: Row, name: string): Generator<Row> {
  const items = parent.values[name];
  const path = parent.where === '' ? name : `${parent.where}.${name}`;
  if (!Array.isArray(items)) throw badData(file, path, 'no list, which the JSON of SQuAD has there');
  for (const [index, item] of items.entries()) {
    const where = `${path}[${index}]`;
    yield { where, values: asObject(item, file, where) };
  }
}
