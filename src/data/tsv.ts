import { Header } from './header.js';
import type { Row } from './rows.js';
import { readLines } from './text.js';

/** What some of GLUE's files have of their own. */
export interface TsvQuirks {
  /** The columns of a file without a header, known by a first line that does not hold the last of these names. */
  withoutHeader?: readonly string[];
  /** Lines that lack fields are left out. */
  leaveOutShort?: boolean;
}

/** Tab-separated values under a header line as GLUE ships them: quotation marks mean themselves. Throws ERR_DATA. */
export async function* readTsv(file: string, { withoutHeader, leaveOutShort }: TsvQuirks = {}): AsyncGenerator<Row> {
  let header: Header | undefined;
  for await (const { number, text } of readLines(file)) {
    if (text === '') continue;
    const fields = text.split('\t');
    if (!header) {
      const columns = withoutHeader && !fields.includes(withoutHeader.at(-1) as string) ? withoutHeader : fields;
      header = new Header(file, columns);
      if (columns === fields) continue;
    }
    if (leaveOutShort && fields.length < header.columns.length) continue;
    yield header.row(number, fields);
  }
}
