import { pipeline } from 'node:stream';
import { CsvError, type Info, parse } from 'csv-parse';
import { oneLine } from '../quote.js';
import { Header } from './header.js';
import type { Row } from './rows.js';
import { badData, maxRecordBytes, readTextPieces } from './text.js';

/** Comma-separated values under a header line; quoted fields may hold commas and line ends. Throws ERR_DATA. */
export async function* readCsv(file: string): AsyncGenerator<Row> {
  const parser = parse({
    info: true,
    relax_column_count: true, // The header reports ragged lines.
    record_delimiter: ['\r\n', '\n'],
    skip_empty_lines: true,
    max_record_size: maxRecordBytes,
  });
  pipeline(readTextPieces(file), parser, () => undefined); // Errors reach the loop below through the parser.
  let header: Header | undefined;
  try {
    for await (const { info, record } of parser as AsyncIterable<{ info: Info; record: string[] }>) {
      if (header) yield header.row(info.lines, record);
      else header = new Header(file, record);
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw badData(file, `line ${error.lines}`, `broken CSV: ${oneLine(error.message)}`);
  }
}
