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
    record_delimiter: ['\r\n', '\n', '\r'],
    skip_empty_lines: true,
    max_record_size: maxRecordBytes,
  });
  let cannotGoOn: unknown;
  // The parser would forget the last rows where its input fails instead of ending.
  async function* soundPieces() {
    try {
      yield* readTextPieces(file);
    } catch (error) {
      cannotGoOn = error;
    }
  }
  pipeline(soundPieces(), parser, () => undefined); // Errors of the parser reach the loop below.
  let header: Header | undefined;
  try {
    for await (const { info, record } of parser as AsyncIterable<{ info: Info; record: string[] }>) {
      if (header) yield header.row(info.lines, record);
      else header = new Header(file, record);
    }
  } catch (error) {
    if (cannotGoOn !== undefined) throw cannotGoOn;
    if (!(error instanceof CsvError)) throw error;
    throw badData(file, `line ${error.lines}`, `broken CSV: ${oneLine(error.message)}`);
  }
  if (cannotGoOn !== undefined) throw cannotGoOn;
}
