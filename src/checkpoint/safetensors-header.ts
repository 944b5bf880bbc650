import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';
import { byteLength, elementBytes, type StoredDType } from './dtypes.js';
import { isObject } from './json-file.js';

/**
 * A safetensors file is an 8-byte little-endian header length, that many bytes of JSON and the tensors' bytes
 * (https://huggingface.co/docs/safetensors). Nothing of the header is believed before it was checked.
 */
export interface TensorEntry {
  dtype: StoredDType;
  shape: number[];
  /** First and one past the last byte, counted from the end of the header. */
  start: number;
  end: number;
}

export const lengthPrefixBytes = 8;

/** The format's own limit. */
const maxHeaderBytes = 100_000_000;

export function invalidFile(file: string, reason: string): EspalierError {
  return new EspalierError(
    'ERR_CHECKPOINT',
    `${file} is no valid safetensors file: ${reason} (download or save it again)`,
  );
}

/** Bytes of JSON after the prefix, the file's first bytes. Throws ERR_CHECKPOINT. */
export function readHeaderLength(prefix: Buffer, fileBytes: number, file: string): number {
  if (fileBytes < lengthPrefixBytes) throw invalidFile(file, `it has only ${fileBytes} bytes`);
  const length = prefix.readBigUInt64LE();
  if (length > maxHeaderBytes) throw invalidFile(file, `its header claims ${length} bytes, over ${maxHeaderBytes}`);
  if (length > fileBytes - lengthPrefixBytes) {
    throw invalidFile(file, `its header claims ${length} bytes, the file has ${fileBytes}`);
  }
  return Number(length);
}

/** The tensors a header describes, `dataBytes` following it in the file. Throws ERR_CHECKPOINT. */
export function parseHeader(header: Buffer, dataBytes: number, file: string): Map<string, TensorEntry> {
  const { text, value } = parseJson(header, file);
  const { __metadata__: metadata = {}, ...tensors } = value;
  if (!isObject(metadata) || !Object.values(metadata).every((item) => typeof item === 'string')) {
    throw invalidFile(file, '__metadata__ is no map of texts');
  }
  const entries = new Map(Object.entries(tensors).map(([name, entry]) => [name, parseEntry(name, entry, file)]));
  const keys = Object.keys(value).length + Object.keys(metadata).length + 3 * entries.size;
  if (countKeys(text) !== keys) throw invalidFile(file, 'its header repeats a key');
  checkLayout(entries, dataBytes, file);
  return entries;
}

function parseJson(header: Buffer, file: string): { text: string; value: Record<string, unknown> } {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return { text, value };
  } catch {
    // The reason (an offset into megabytes of JSON) helps nobody.
  }
  throw invalidFile(file, 'its header is no JSON object');
}

function parseEntry(name: string, value: unknown, file: string): TensorEntry {
  const tensor = `tensor ${quote(name)}`;
  if (!isObject(value) || Object.keys(value).sort().join() !== 'data_offsets,dtype,shape') {
    throw invalidFile(file, `${tensor} is not described by dtype, shape and data_offsets`);
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(elementBytes, dtype)) {
    throw invalidFile(file, `${tensor} has the unknown dtype ${quote(dtype)}`);
  }
  if (!isCounts(shape)) throw invalidFile(file, `${tensor} has the shape ${quote(shape)}`);
  if (!isCounts(offsets) || offsets.length !== 2) {
    throw invalidFile(file, `${tensor} has the data_offsets ${quote(offsets)}`);
  }
  const [start, end] = offsets as [number, number];
  const bytes = byteLength(dtype as StoredDType, shape);
  if (end - start !== bytes) {
    throw invalidFile(file, `${tensor} needs ${bytes} bytes for ${dtype} ${quote(shape)} and has ${end - start}`);
  }
  return { dtype: dtype as StoredDType, shape, start, end };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

/** Keys as written: JSON.parse silently drops repeated ones, which would hide a tensor. `json` is known to be valid. */
function countKeys(json: string): number {
  let keys = 0;
  for (let at = json.indexOf('"'); at !== -1; at = json.indexOf('"', at)) {
    at++;
    while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
    at++;
    while (at < json.length && ' \t\r\n'.includes(json.charAt(at))) at++;
    if (json[at] === ':') keys++;
  }
  return keys;
}

/** The tensors must fill the data section without holes or overlaps, as the format demands. */
function checkLayout(entries: Map<string, TensorEntry>, dataBytes: number, file: string): void {
  const ordered = [...entries].sort(([, a], [, b]) => a.start - b.start || a.end - b.end);
  let position = 0;
  for (const [name, { start, end }] of ordered) {
    if (start !== position) {
      throw invalidFile(file, `tensor ${quote(name)} starts at byte ${start}, the one before ends at ${position}`);
    }
    if (end > dataBytes) {
      throw invalidFile(file, `tensor ${quote(name)} ends at byte ${end} of ${dataBytes}: the file is cut short`);
    }
    position = end;
  }
  if (position !== dataBytes) throw invalidFile(file, `${dataBytes - position} bytes belong to no tensor`);
}
