import type { Example } from './examples.js';
import type { Row } from './rows.js';
import { readLines } from './text.js';

/** One example a line, empty ones too, without a label. Throws ERR_DATA. */
export async function* readPlainText(file: string): AsyncGenerator<Row> {
  for await (const { number, text } of readLines(file))
    yield { where: `line ${number}`, values: { ...splitPair(text) } };
}

/** A tab separates the texts of a pair. */
export function splitPair(line: string): Example {
  const tab = line.indexOf('\t');
  return tab < 0 ? { text: line } : { text: line.slice(0, tab), pair: line.slice(tab + 1) };
}
