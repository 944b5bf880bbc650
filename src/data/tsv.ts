import { Header } from './header.js';
import type { Row } from './rows.js';
import { readLines } from './text.js';

/** Tab-separated values under a header line as GLUE ships them: quotation marks mean themselves. Throws ERR_DATA. */
export async function* readTsv(file: string): AsyncGenerator<Row> {
  let header: Header | undefined;
  for await (const { number, text } of readLines(file)) {
    if (text === '') continue;
    const fields = text.split('\t');
    if (header) yield header.row(number, fields);
    else header = new Header(file, fields);
  }
}
