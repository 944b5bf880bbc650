import { extname } from 'node:path';
import { unlessAborted } from '../native/cancel.js';
import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';
import { readCsv } from './csv.js';
import { arrayRows, asObject, readJsonDocument, readJsonLines } from './json.js';
import { readParquet } from './parquet.js';
import { readPlainText } from './plain-text.js';
import { squadRows } from './squad.js';
import { standardInput } from './text.js';
import { readTsv, type TsvQuirks } from './tsv.js';

/** One example of a data file as written there. */
export interface Row {
  /** For messages, such as "line 3". */
  where: string;
  values: Record<string, unknown>;
}

export const dataFormats = ['tsv', 'csv', 'jsonl', 'json', 'parquet', 'txt'] as const;

export type DataFormat = (typeof dataFormats)[number];

export interface RowOptions {
  /** By default what the file's name ends in. */
  format?: DataFormat | undefined;
  quirks?: TsvQuirks | undefined;
  signal?: AbortSignal | undefined;
}

const readers: Record<DataFormat, (file: string, options: RowOptions) => AsyncIterable<Row>> = {
  tsv: (file, { quirks }) => readTsv(file, quirks),
  csv: readCsv,
  jsonl: readJsonLines,
  json: readJson,
  parquet: readParquet,
  txt: readPlainText,
};

/** The rows of a data file, or of standard input where it is called '-'. Throws ERR_DATA, ERR_CANCELLED. */
export async function* readRows(file: string, options: RowOptions = {}): AsyncGenerator<Row> {
  const { format = formatOf(file), signal } = options;
  const rows = readers[format](file, options)[Symbol.asyncIterator]();
  try {
    // A row may never come, of a pipe that nobody writes to.
    for (;;) {
      const { done, value } = await unlessAborted(rows.next(), signal);
      if (done) return;
      yield value;
    }
  } finally {
    void rows.return?.().catch(() => undefined); // Not awaited: it would wait for that row, too.
  }
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

/** An array of objects, whole or as `data` of an object, or SQuAD's articles with their questions. */
async function* readJson(file: string): AsyncGenerator<Row> {
  const document = await readJsonDocument(file);
  if (Array.isArray(document)) return yield* arrayRows(file, document);
  const object = asObject(document, file, 'as a whole');
  if (!Object.hasOwn(object, 'data')) {
    throw new EspalierError(
      'ERR_DATA',
      `${file} is neither a JSON array nor an object with one as its data (name a file with one object a line .jsonl)`,
    );
  }
  yield* squadRows(file, object);
}
