import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { EspalierError } from '../native/errors.js';

/** Longest line or record. Nothing a model reads comes near; a file without line ends must not fill memory. */
export const maxRecordBytes = 16 << 20;

const newline = 10;
const carriageReturn = 13;
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
  if (!isUtf8(bytes)) throw badData(file, `line ${number}`, 'invalid UTF-8 (save the file as UTF-8)');
  return bytes.toString('utf8', 0, bytes.at(-1) === carriageReturn ? bytes.length - 1 : bytes.length);
}

function checkLength(line: Buffer, number: number, file: string): void {
  if (line.length <= maxRecordBytes) return;
  throw badData(file, `line ${number}`, `longer than ${maxRecordBytes} bytes (data files hold one example a line)`);
}

/** A file's text in pieces. Throws ERR_DATA. */
export async function* readTextPieces(file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let lines = 0;
  const decode = (piece?: Buffer) => {
    try {
      return decoder.decode(piece, { stream: piece !== undefined });
    } catch {
      throw badData(file, `after line ${lines}`, 'invalid UTF-8 (save the file as UTF-8)');
    }
  };
  for await (const piece of readBytes(file)) {
    const text = decode(piece);
    lines += text.split('\n').length - 1;
    yield text;
  }
  yield decode();
}
