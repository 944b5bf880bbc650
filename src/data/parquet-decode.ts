import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { decompress as unpackZstd } from 'fzstd';
import {
  type AsyncBuffer,
  type ColumnMetaData,
  type Compressors,
  type DecodedArray,
  type FileMetaData,
  parquetMetadataAsync,
  parquetScan,
  type RowGroup,
} from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { readableColumns } from './parquet-columns.js';

/** Some rows of a file. */
export interface ParquetRows {
  columns: string[];
  rows: unknown[][];
}

/** About what a value takes in memory, a text its length more. */
const valueSize = 16;

/** Handed on at a time. */
const pieceSize = 1 << 20;

/** What a file may unpack to, whatever its size, and for each of its bytes: a few bytes could stand for billions of rows. */
const freeSize = 1 << 28;
const maxExpansion = 100;

/**
 * Bounds of what is in memory at a time: with these a hostile file takes 3 GB at worst, less than the thread may have. V8
 * ends the process, not the thread, when a thread runs out of memory at a bad moment.
 */
const maxMetadataBytes = 8 << 20;
const maxGroupRows = 1 << 22;
const maxGroupValues = 1 << 25;
/** Of a row of a list: the arrays that it is put together from count as so many values. */
const listSize = 16;
const maxGroupBytes = 1 << 29;

/**
 * A run-length count out of a page makes the decoder write on behind the end of its array. A setter that every array of
 * this thread inherits throws before that takes much memory.
 */
export function boundArrays(): void {
  Object.defineProperty(Array.prototype, maxGroupRows, {
    set() {
      throw new Error('a page has more values than it says');
    },
  });
}

/** Each fills the length that the page header says, or throws. Snappy is the decoder's own. */
const unpackers: Compressors = {
  GZIP: (input, length) => gunzipSync(input, { maxOutputLength: Math.max(1, length) }),
  BROTLI: (input, length) => brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) }),
  ZSTD: (input, length) => unpackZstd(input, new Uint8Array(length)),
};

/**
 * The columns of a file that hold texts or labels, row group by row group. Throws anything, and for a hostile file may
 * never end: it belongs into a thread that can be ended, after `boundArrays`.
 */
export async function* decodeParquet(file: AsyncBuffer): AsyncGenerator<ParquetRows> {
  const metadata = await readMetadata(file);
  const columns = readableColumns(metadata);
  const names = columns.map(({ name }) => name);
  const scan = await parquetScan({ file, metadata, columns: names, compressors: unpackers, parsers });
  const rowSize = columns.reduce((sum, { leaves, isFlat }) => sum + (isFlat ? 1 : listSize * leaves.length), 1);
  const most = Math.min(maxGroupRows, maxGroupValues / rowSize);
  const budget = { left: freeSize + maxExpansion * file.byteLength };
  let start = 0;
  for (const group of metadata.row_groups) {
    const count = Number(group.num_rows);
    if (!(count >= 0 && count <= most)) {
      throw new Error(`a row group has ${count} rows (write smaller row groups)`);
    }
    let bytes = 0;
    const values: DecodedArray[] = [];
    for (const { name, leaves, isFlat } of columns) {
      for (const leaf of leaves) bytes += await checkPages(file, findChunk(group, leaf), isFlat ? count : most);
      if (bytes > maxGroupBytes) throw new Error('a row group unpacks to over 512 MB (write smaller row groups)');
      const column = await scan.readColumn({ column: name, rowStart: start, rowEnd: start + count });
      if (column.length !== count) throw new Error(`column ${name} has ${column.length} values of ${count} rows`);
      values.push(column);
    }
    for (const rows of inPieces(values, count, budget)) yield { columns: names, rows };
    start += count;
  }
}

function* inPieces(values: DecodedArray[], count: number, budget: { left: number }): Generator<unknown[][]> {
  let rows: unknown[][] = [];
  let size = 0;
  for (let row = 0; row < count; row++) {
    const fields = values.map((column) => toPlain(column[row]));
    for (const field of fields) size += sizeOf(field);
    rows.push(fields);
    if (size < pieceSize && row < count - 1) continue;
    budget.left -= size;
    if (budget.left < 0) throw new Error('it unpacks to far more than a data file of its size (is it hostile?)');
    yield rows;
    rows = [];
    size = 0;
  }
}

function sizeOf(field: unknown): number {
  if (typeof field === 'string') return valueSize + field.length;
  if (typeof field !== 'object' || field === null) return valueSize;
  return Object.values(field).reduce<number>((sum, value) => sum + sizeOf(value), valueSize);
}

function findChunk(group: RowGroup, leaf: string): ColumnMetaData {
  const chunks = group.columns.filter(({ meta_data: meta }) => meta?.path_in_schema.join('.') === leaf);
  const meta = chunks[0]?.meta_data;
  if (chunks.length !== 1 || !meta) throw new Error(`a row group has the column ${leaf} ${chunks.length} times`);
  return meta;
}

async function readMetadata(file: AsyncBuffer): Promise<FileMetaData> {
  const end = new DataView(await file.slice(Math.max(0, file.byteLength - 8)));
  const bytes = end.byteLength === 8 ? end.getUint32(0, true) : 0;
  if (bytes > maxMetadataBytes) throw new Error(`its metadata claim ${bytes} bytes`);
  return parquetMetadataAsync(file, { geoparquet: false });
}

/** Bytes that a column unpacks to. The decoder believes page headers, so each must fit its row group before it sees them. */
async function checkPages(file: AsyncBuffer, chunk: ColumnMetaData, mostValues: number): Promise<number> {
  const start = Number(chunk.dictionary_page_offset || chunk.data_page_offset);
  const pages = await file.slice(start, start + Number(chunk.total_compressed_size));
  const reader = { view: new DataView(pages), offset: 0 };
  let unpacked = 0;
  let values = 0;
  while (reader.offset < pages.byteLength - 1) {
    const header = parquetHeader(reader);
    const { type, compressed_page_size: size, uncompressed_page_size: bytes } = header;
    const v2 = type === 'DATA_PAGE_V2' ? header.data_page_header_v2 : undefined;
    const data = type === 'DATA_PAGE' ? header.data_page_header : v2;
    const entries = type === 'DICTIONARY_PAGE' ? header.dictionary_page_header?.num_values : 0;
    const counts = [size, bytes, data?.num_values ?? 0, v2?.num_nulls ?? 0, entries ?? 0];
    reader.offset += size;
    unpacked += bytes;
    values += data?.num_values ?? 0;
    if (values > mostValues || reader.offset > pages.byteLength || !counts.every(isCount)) {
      throw new Error('a page does not fit its row group');
    }
    // Each value may repeat all of the one before: a few bytes could stand for any amount of memory.
    if (data?.encoding === 'DELTA_BYTE_ARRAY') throw new Error('the encoding DELTA_BYTE_ARRAY is not supported');
  }
  return unpacked;
}

const isCount = (value: number) => value >= 0 && value <= maxGroupBytes;

/** Values of the decoder's richer types are texts here: what it makes of hostile ones may take any amount of memory. */
const parsers = {
  stringFromBytes: decodeText,
  jsonFromBytes: decodeText,
  uuidFromBytes: decodeText,
  geometryFromBytes: decodeText,
  geographyFromBytes: decodeText,
};

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error('invalid UTF-8 in a column of texts');
  }
}

/**
 * Whole numbers as numbers, where they are exact. What is no text, number or truth value, nor a structure of lists of
 * these (dates, bytes), is null.
 */
function toPlain(value: unknown): unknown {
  if (value === undefined) throw new Error('a value is in no dictionary');
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(toPlain);
  if (value.constructor !== Object) return null;
  return Object.fromEntries(Object.entries(value).map(([name, list]) => [name, toPlain(list)]));
}
