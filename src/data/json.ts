import { oneLine } from '../quote.js';
import type { Row } from './rows.js';
import { badData, cannotRead, readLines, readTextPieces } from './text.js';

/** One JSON object a line. Throws ERR_DATA. */
export async function* readJsonLines(file: string): AsyncGenerator<Row> {
  for await (const { number, text } of readLines(file)) {
    if (text.trim() === '') continue;
    const where = `line ${number}`;
    yield { where, values: asObject(parseJson(text, file, where), file, where) };
  }
}

/** What a JSON file holds; it is read as a whole. Throws ERR_DATA. */
export async function readJsonDocument(file: string): Promise<unknown> {
  return parseJson(await readWhole(file), file, 'as a whole');
}

/** The objects of a JSON array. Throws ERR_DATA. */
export function* arrayRows(file: string, items: readonly unknown[]): Generator<Row> {
  for (const [index, item] of items.entries()) {
    const where = `item ${index + 1}`;
    yield { where, values: asObject(item, file, where) };
  }
}

async function readWhole(file: string): Promise<string> {
  let text = '';
  for await (const piece of readTextPieces(file)) {
    try {
      text += piece;
    } catch (error) {
      throw cannotRead(file, error); // Longer than a string can be.
    }
  }
  return text;
}

function parseJson(text: string, file: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badData(file, where, `invalid JSON: ${oneLine((error as Error).message)}`);
  }
}

export function asObject(value: unknown, file: string, where: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw badData(file, where, 'no JSON object');
}
