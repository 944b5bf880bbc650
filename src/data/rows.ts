import { extname } from 'node:path';
import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';
import { readCsv } from './csv.js';
import { arrayRows, asObject, readJsonDocument, readJsonLines } from './json.js';
import { squadRows } from './squad.js';
import { readTsv, type TsvQuirks } from './tsv.js';

/** One example of a data file as written there. */
export interface Row {
  /** For messages, such as "line 3". */
  where: string;
  values: Record<string, unknown>;
}

const readers: Record<string, (file: string, quirks?: TsvQuirks) => AsyncIterable<Row>> = {
  '.tsv': readTsv,
  '.csv': readCsv,
  '.jsonl': readJsonLines,
  '.json': readJson,
};

/** The rows of a data file, its format told by the extension. Throws ERR_DATA. */
export function readRows(file: string, quirks?: TsvQuirks): AsyncIterable<Row> {
  const extension = extname(file).toLowerCase();
  const read = Object.hasOwn(readers, extension) ? readers[extension] : undefined;
  if (read) return read(file, quirks);
  const known = Object.keys(readers).join(', ');
  throw new EspalierError('ERR_DATA', `${file}: unknown extension ${quote(extension)} (data files end in ${known})`);
}

/** An array of objects, or SQuAD's articles with their questions. */
async function* readJson(file: string): AsyncGenerator<Row> {
  const document = await readJsonDocument(file);
  if (Array.isArray(document)) return yield* arrayRows(file, document);
  const object = asObject(document, file, 'as a whole');
  if (!Object.hasOwn(object, 'data')) {
    throw new EspalierError(
      'ERR_DATA',
      `${file} is neither a JSON array nor the JSON of SQuAD (name a file with one object a line .jsonl)`,
    );
  }
  yield* squadRows(file, object);
}
