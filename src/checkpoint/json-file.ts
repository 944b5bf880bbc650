import { readFile } from 'node:fs/promises';
import { EspalierError } from '../native/errors.js';
import { oneLine } from '../quote.js';
import { regularFileSize } from './regular-file.js';

/** Far above any real config or shard index; keeps a wrong file from filling memory. */
const maxBytes = 100_000_000;

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads a JSON file that holds one object. Throws ERR_CHECKPOINT. */
export async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  const value = parse(path, await readText(path));
  if (!isObject(value)) throw new EspalierError('ERR_CHECKPOINT', `${path} holds no JSON object (save it again)`);
  return value;
}

async function readText(path: string): Promise<string> {
  try {
    const size = await regularFileSize(path);
    if (size > maxBytes) throw new Error(`${size} bytes are too many for a JSON file`);
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    throw new EspalierError(
      'ERR_CHECKPOINT',
      `cannot read ${path}: ${(error as Error).message} (a checkpoint is a Hugging Face model directory)`,
      { cause: error },
    );
  }
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = oneLine((error as Error).message);
    throw new EspalierError('ERR_CHECKPOINT', `${path} is no valid JSON: ${reason} (save it again)`, { cause: error });
  }
}
