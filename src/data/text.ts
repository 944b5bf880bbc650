import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { EspalierError } from '../native/errors.js';

/** Longest line or record. Nothing a model reads comes near; a file without line ends must not fill memory. */
export const maxRecordBytes = 16 << 20;

const newline = 10;
const carriageReturn = 13;
const notUtf8 = 'invalid UTF-8 (save the file as UTF-8)';
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

export function badData(file: string, where: string, reason: string): EspalierError {
  return new EspalierError('ERR_DATA', `${file}, ${where}: ${reason}`);
}

export function cannotRead(file: string, cause: unknown): EspalierError {
  return new EspalierError(
    'ERR_DATA',
    `cannot read ${file}: ${(cause as Error).message} (give a file that can be read)`,
    { cause },
  );
}

/** Stands for a file in the command line. */
export const standardInput = '-';

function openStream(file: string): AsyncIterable<Buffer> {
  if (file !== standardInput) return createReadStream(file, { highWaterMark: 1 << 20 });
  if (process.stdin.destroyed) throw new Error('it was read already (only one file can be -)');
  return process.stdin;
}

/** A file's bytes in pieces, less a byte order mark. Throws ERR_DATA. */
async function* readBytes(file: string): AsyncGenerator<Buffer> {
  let first = true;
  try {
    for await (const piece of openStream(file)) {
      const marked = first && piece.subarray(0, byteOrderMark.length).equals(byteOrderMark);
      first = false;
      yield marked ? piece.subarray(byteOrderMark.length) : piece;
    }
  } catch (error) {
    throw cannotRead(file, error);
  }
}

/**
 * Lines with their numbers from 1, without their ends (\n or \r\n). No other character ends a line: GLUE's
 * texts hold a few that Unicode counts as line ends. Throws ERR_DATA.
 */
export async function* readLines(file: string): AsyncGenerator<{ number: number; text: string }> {
  let rest: Buffer = Buffer.alloc(0);
  let number = 0;
  for await (const piece of readBytes(file)) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, piece]) : piece;
    let start = 0;
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
      const text = decodeLine(bytes.subarray(start, end), ++number, file);
      yield { number, text };
      start = end + 1;
    }
    rest = bytes.subarray(start);
    checkLength(rest, number + 1, file);
  }
  if (rest.length > 0) yield { number: number + 1, text: decodeLine(rest, number + 1, file) };
}

function decodeLine(bytes: Buffer, number: number, file: string): string {
  checkLength(bytes, number, file);
  if (!isUtf8(bytes)) throw badData(file, `line ${number}`, notUtf8);
  return bytes.toString('utf8', 0, bytes.at(-1) === carriageReturn ? bytes.length - 1 : bytes.length);
}

function checkLength(line: Buffer, number: number, file: string): void {
  if (line.length <= maxRecordBytes) return;
  throw badData(file, `line ${number}`, `longer than ${maxRecordBytes} bytes (data files hold one example a line)`);
}

/** A file's text in pieces, the lines before one that is no UTF-8 among them. Throws ERR_DATA. */
export async function* readTextPieces(file: string): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  let lines = 0;
  const invalid = () => badData(file, `line ${lines + 1}`, notUtf8);
  for await (const piece of readBytes(file)) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, piece]) : piece;
    const end = endOfCharacters(bytes);
    const whole = bytes.subarray(0, end);
    const sound = isUtf8(whole) ? whole : soundLines(whole);
    const text = sound.toString();
    lines += text.split('\n').length - 1;
    yield text;
    if (sound.length < whole.length) throw invalid();
    rest = bytes.subarray(end);
  }
  if (rest.length > 0) throw invalid();
}

/** Where the last character begins if it is not all there, or else the end. */
function endOfCharacters(bytes: Buffer): number {
  for (let from = 1; from <= Math.min(3, bytes.length); from++) {
    const byte = bytes[bytes.length - from] as number;
    if ((byte & 0xc0) === 0x80) continue; // It goes on with a character.
    const length = byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return length > from ? bytes.length - from : bytes.length;
  }
  return bytes.length;
}

/** All lines before the first that is no UTF-8. */
function soundLines(bytes: Buffer): Buffer {
  let end = 0;
  for (let next = bytes.indexOf(newline); next !== -1; next = bytes.indexOf(newline, end)) {
    if (!isUtf8(bytes.subarray(end, next))) break;
    end = next + 1;
  }
  return bytes.subarray(0, end);
}
