import { extname } from 'node:path';
import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';
import { readCsv } from './csv.js';
import { readJsonArray, readJsonLines } from './json.js';
import { readTsv } from './tsv.js';

/** One example of a data file as written there. */
export interface Row {
  /** For messages, such as "line 3". */
  where: string;
  values: Record<string, unknown>;
}

const readers: Record<string, (file: string) => AsyncIterable<Row>> = {
  '.tsv': readTsv,
  '.csv': readCsv,
  '.jsonl': readJsonLines,
  '.json': readJsonArray,
};

/** The rows of a data file, its format told by the extension. Throws ERR_DATA. */
export function readRows(file: string): AsyncIterable<Row> {
  const extension = extname(file).toLowerCase();
  const read = Object.hasOwn(readers, extension) ? readers[extension] : undefined;
  if (read) return read(file);
  const known = Object.keys(readers).join(', ');
  throw new EspalierError('ERR_DATA', `${file}: unknown extension ${quote(extension)} (data files end in ${known})`);
}
