import { extname } from 'node:path';
import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';
import { readCsv } from './csv.js';
import { readJsonArray, readJsonLines } from './json.js';
import { readParquet } from './parquet.js';
import { readPlainText } from './plain-text.js';
import { standardInput } from './text.js';
import { readTsv } from './tsv.js';

/** One example of a data file as written there. */
export interface Row {
  /** For messages, such as "line 3". */
  where: string;
  values: Record<string, unknown>;
}

const readers = {
  tsv: readTsv,
  csv: readCsv,
  jsonl: readJsonLines,
  json: readJsonArray,
  parquet: readParquet,
  txt: readPlainText,
};

export type DataFormat = keyof typeof readers;

export const dataFormats = Object.keys(readers) as [DataFormat, ...DataFormat[]];

/** The rows of a data file, or of standard input where it is called '-'. Throws ERR_DATA. */
export function readRows(file: string, format: DataFormat = formatOf(file)): AsyncIterable<Row> {
  return readers[format](file);
}

/** Told by the extension, never guessed from what is inside. Throws ERR_DATA. */
export function formatOf(file: string): DataFormat {
  const extension = extname(file).slice(1).toLowerCase();
  const format = dataFormats.find((name) => name === extension);
  if (format) return format;
  const known = dataFormats.join(', ');
  throw new EspalierError(
    'ERR_DATA',
    file === standardInput
      ? `the format of standard input is not known (give --format: ${known})`
      : `${file}: unknown extension ${quote(extname(file))} (data files end in .${known.replaceAll(', ', ', .')}, or give --format)`,
  );
}
