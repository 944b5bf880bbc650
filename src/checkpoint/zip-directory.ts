import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';
import type { RangeSource } from './ranged-file.js';

/** Where the stored bytes of an archive's file lie. */
export interface ZipEntry {
  start: number;
  bytes: number;
}

const endSignature = 0x06054b50;
const end64Signature = 0x06064b50;
const locatorSignature = 0x07064b50;
const centralSignature = 0x02014b50;
const localSignature = 0x04034b50;

const endBytes = 22;
const end64Bytes = 56;
const locatorBytes = 20;
const centralBytes = 46;
const localBytes = 30;
const maxCommentBytes = 0xffff;
const zip64ExtraId = 1;

/** Far above any checkpoint's few hundred tensors; bounds what a hostile archive can make us read. */
const maxEntries = 20_000;
const maxDirectoryBytes = 4 << 20;

export function invalidArchive(file: string, reason: string): EspalierError {
  return new EspalierError('ERR_CHECKPOINT', `${file} is no valid PyTorch file: ${reason} (download or save it again)`);
}

/**
 * The files of a zip archive as torch.save writes them: stored, not compressed, each in bytes of its own before the
 * directory (PKWARE's APPNOTE.TXT 6.3.10, zip64 included). Throws ERR_CHECKPOINT for anything else.
 */
export async function readZipDirectory(file: RangeSource): Promise<Map<string, ZipEntry>> {
  const { count, start, bytes } = await findDirectory(file);
  const directory = await file.read(start, bytes);
  const located = parseDirectory(directory, count, file.path).sort((a, b) => a.header - b.header);
  const entries = new Map<string, ZipEntry>();
  let free = 0;
  for (const { name, header, bytes } of located) {
    const dataStart = await readLocalHeader(file, name, header, start);
    if (header < free) throw invalidArchive(file.path, `entry ${quote(name.toString())} overlaps the one before`);
    free = dataStart + bytes;
    if (free > start) throw invalidArchive(file.path, `entry ${quote(name.toString())} does not fit into the file`);
    entries.set(name.toString(), { start: dataStart, bytes });
  }
  if (entries.size !== count) throw invalidArchive(file.path, 'two entries have one name');
  return entries;
}

async function findDirectory(file: RangeSource): Promise<{ count: number; start: number; bytes: number }> {
  const tailBytes = Math.min(file.bytes, endBytes + maxCommentBytes);
  const tailStart = file.bytes - tailBytes;
  const tail = await file.read(tailStart, tailBytes);
  let at = tailBytes - endBytes;
  const isEnd = () =>
    tail.readUInt32LE(at) === endSignature && tail.readUInt16LE(at + 20) === tailBytes - endBytes - at;
  while (at >= 0 && !isEnd()) at--;
  if (at < 0) throw invalidArchive(file.path, 'it is no whole zip archive');
  const end = tailStart + at;
  const located = await readEnd64(file, end);
  const directory = located ?? {
    count: tail.readUInt16LE(at + 10),
    bytes: tail.readUInt32LE(at + 12),
    start: tail.readUInt32LE(at + 16),
  };
  const { count, start, bytes } = directory;
  if (count > maxEntries || bytes > maxDirectoryBytes) {
    throw invalidArchive(file.path, `its directory claims ${count} entries in ${bytes} bytes`);
  }
  if (start + bytes > end) throw invalidArchive(file.path, 'its directory does not fit into the file');
  return directory;
}

/** The wider record of a large archive, where there is one: its locator stands right before the end record. */
async function readEnd64(file: RangeSource, end: number) {
  if (end < locatorBytes) return undefined;
  const locator = await file.read(end - locatorBytes, locatorBytes);
  if (locator.readUInt32LE() !== locatorSignature) return undefined;
  const at = readSize(locator, 8, file.path);
  if (at + end64Bytes > end - locatorBytes) throw invalidArchive(file.path, 'its zip64 record does not fit');
  const record = await file.read(at, end64Bytes);
  if (record.readUInt32LE() !== end64Signature) throw invalidArchive(file.path, 'its zip64 record is broken');
  return {
    count: readSize(record, 32, file.path),
    bytes: readSize(record, 40, file.path),
    start: readSize(record, 48, file.path),
  };
}

interface Located {
  name: Buffer;
  /** Position of the local header. */
  header: number;
  bytes: number;
}

function parseDirectory(directory: Buffer, count: number, file: string): Located[] {
  const entries: Located[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (at + centralBytes > directory.length || directory.readUInt32LE(at) !== centralSignature) {
      throw invalidArchive(file, `its directory has no entry ${index + 1} of ${count}`);
    }
    const nameEnd = at + centralBytes + directory.readUInt16LE(at + 28);
    const extraEnd = nameEnd + directory.readUInt16LE(at + 30);
    const next = extraEnd + directory.readUInt16LE(at + 32);
    if (next > directory.length) throw invalidArchive(file, 'its directory is cut short');
    const entry = directory.subarray(at, nameEnd);
    entries.push(parseEntry(entry, directory.subarray(nameEnd, extraEnd), file));
    at = next;
  }
  return entries;
}

function parseEntry(entry: Buffer, extra: Buffer, file: string): Located {
  const name = entry.subarray(centralBytes);
  const shown = `entry ${quote(name.toString())}`;
  if (entry.readUInt16LE(8) & 1) throw invalidArchive(file, `${shown} is encrypted`);
  if (entry.readUInt16LE(10) !== 0) throw invalidArchive(file, `${shown} is compressed, which torch.save never does`);
  // In this order the zip64 extra field holds those of the three that are too large for 32 bits.
  const wide = findExtra(extra, zip64ExtraId);
  let used = 0;
  const [bytes, stored, header] = [24, 20, 42].map((position) => {
    const value = entry.readUInt32LE(position);
    if (value !== 0xffffffff || !wide) return value;
    used += 8;
    if (used > wide.length) throw invalidArchive(file, `${shown} has a broken zip64 field`);
    return readSize(wide, used - 8, file);
  }) as [number, number, number];
  if (bytes !== stored) throw invalidArchive(file, `${shown} has two sizes, ${bytes} and ${stored}`);
  return { name, header, bytes };
}

function findExtra(extra: Buffer, id: number): Buffer | undefined {
  for (let at = 0; at + 4 <= extra.length; ) {
    const end = at + 4 + extra.readUInt16LE(at + 2);
    if (extra.readUInt16LE(at) === id) return extra.subarray(at + 4, end);
    at = end;
  }
  return undefined;
}

/** Position of an entry's bytes. The header before them repeats the name, and may be padded to align them. */
async function readLocalHeader(file: RangeSource, name: Buffer, at: number, limit: number): Promise<number> {
  const length = localBytes + name.length;
  const broken = () => invalidArchive(file.path, `entry ${quote(name.toString())} has no header at byte ${at}`);
  if (at + length > limit) throw broken();
  const header = await file.read(at, length);
  if (header.readUInt32LE() !== localSignature || !header.subarray(localBytes).equals(name)) throw broken();
  if (header.readUInt16LE(26) !== name.length) throw broken();
  return at + length + header.readUInt16LE(28);
}

function readSize(record: Buffer, position: number, file: string): number {
  const value = record.readBigUInt64LE(position);
  if (value > Number.MAX_SAFE_INTEGER) throw invalidArchive(file, `it claims a size of ${value} bytes`);
  return Number(value);
}
