import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EspalierError } from '../native/errors.js';
import { TokenizerPipeline } from './pipeline.js';
import { parseTokenizerJson } from './tokenizer-json.js';
import { parseVocabTxt } from './vocab-txt.js';

/** A model's input for one text or pair, special tokens included; all arrays have one entry a token. */
export interface Encoding {
  ids: number[];
  /** 0 in the first text's part, 1 in the second's. */
  typeIds: number[];
  /**
   * Which part of its text each token stands for: text.slice(starts[i], ends[i]), in UTF-16 code units of the text
   * the token comes from (the first or, where typeIds is 1, the second). Special tokens have 0, 0.
   */
  starts: number[];
  ends: number[];
}

export interface EncodeOptions {
  /** The most tokens, special tokens counted; pairs are cut longest first. Default: no limit. */
  maxLength?: number;
}

export interface Tokenizer {
  readonly vocabularySize: number;
  /** @throws EspalierError ERR_INVALID_ARGUMENT where maxLength does not even hold the special tokens. */
  encode(text: string, pair?: string, options?: EncodeOptions): Encoding;
}

// Vocabularies of a million tokens stay well below.
const LARGEST_FILE = 256 * 2 ** 20;

/**
 * Loads a checkpoint's tokenizer: tokenizer.json, or where there is none vocab.txt with tokenizer_config.json.
 * Truncation and padding stored in those files do not count: encode's options do.
 * @throws EspalierError ERR_TOKENIZER
 */
export async function loadTokenizer(directory: string): Promise<Tokenizer> {
  const tokenizerJson = join(directory, 'tokenizer.json');
  const json = await readText(tokenizerJson);
  if (json !== undefined) return naming(tokenizerJson, () => new TokenizerPipeline(parseTokenizerJson(json)));

  const vocabTxt = join(directory, 'vocab.txt');
  const vocabulary = await readText(vocabTxt);
  if (vocabulary === undefined) {
    throw new EspalierError('ERR_TOKENIZER', `${directory} holds neither tokenizer.json nor vocab.txt`);
  }
  const config = await readText(join(directory, 'tokenizer_config.json'));
  return naming(vocabTxt, () => new TokenizerPipeline(parseVocabTxt(vocabulary, config ?? '{}')));
}

/** A file's content, or undefined where there is no such file. */
async function readText(file: string): Promise<string | undefined> {
  try {
    const { size } = await stat(file);
    if (size > LARGEST_FILE) throw new RangeError(`its ${size} bytes are more than any tokenizer's`);
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new EspalierError('ERR_TOKENIZER', `cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** Puts the file's name before what is wrong with it. */
function naming<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    throw new EspalierError(error.code, `${file}: ${error.message}`, { cause: error });
  }
}
