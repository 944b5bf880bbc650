import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { regularFileSize } from '../checkpoint/regular-file.js';
import { EspalierError } from '../native/errors.js';
import { type TokenizerParts, TokenizerPipeline } from './pipeline.js';
import { parseTokenizerJson } from './tokenizer-json.js';
import { parseVocabJson } from './vocab-json.js';
import { parseVocabTxt } from './vocab-txt.js';

/** A model's input for one text or pair, special tokens included; all arrays have one entry a token. */
export interface Encoding {
  ids: number[];
  /** What the model's token type embedding is asked for: BERT tells the second text by 1, RoBERTa has 0 alone. */
  typeIds: number[];
  /** Which text each token comes from: 0 the first, 1 the second, -1 for special tokens. */
  sequences: number[];
  /**
   * Which part of its text each token stands for: text.slice(starts[i], ends[i]), in UTF-16 code units of the text
   * that `sequences` tells. Special tokens have 0, 0. Tokens of byte-level BPE that share a character overlap.
   */
  starts: number[];
  ends: number[];
}

export interface EncodeOptions {
  /** The most tokens, special tokens counted; pairs are cut longest first. Default: no limit. */
  maxLength?: number;
}

export interface WindowOptions {
  /** The most tokens of a window, special tokens counted. */
  maxLength: number;
  /** How many tokens of the context neighbouring windows share. */
  stride: number;
}

export interface Tokenizer {
  /** The ids of all tokens, added ones included. */
  readonly vocabulary: ReadonlyMap<string, number>;
  /** @throws EspalierError ERR_INVALID_ARGUMENT where maxLength does not even hold the special tokens. */
  encode(text: string, pair?: string, options?: EncodeOptions): Encoding;
  /**
   * A question with as much of its context as fits, in as many windows as cover the context, in order: what Hugging Face
   * tokenizers do with truncation "only_second", return_overflowing_tokens and a stride. Offsets count in the whole
   * context.
   * @throws EspalierError ERR_INVALID_ARGUMENT for a maxLength or a stride that never works; ERR_DATA where the question
   * leaves the context no room, or no more than the stride.
   */
  encodeWindows(question: string, context: string, options: WindowOptions): Encoding[];
}

// Vocabularies of a million tokens stay well below.
const LARGEST_FILE = 256 * 2 ** 20;

/**
 * Loads a checkpoint's tokenizer: tokenizer.json, or where there is none tokenizer_config.json with BERT's vocab.txt or
 * RoBERTa's vocab.json and merges.txt. Truncation and padding stored in those files do not count: encode's options do.
 * @throws EspalierError ERR_TOKENIZER
 */
export async function loadTokenizer(directory: string): Promise<Tokenizer> {
  const path = (name: string) => join(directory, name);
  const json = await readText(path('tokenizer.json'));
  if (json !== undefined) return naming(path('tokenizer.json'), () => parseTokenizerJson(json));

  const config = (await readText(path('tokenizer_config.json'))) ?? '{}';
  if (!config.includes('"added_tokens_decoder"') && (await readText(path('added_tokens.json'))) !== undefined) {
    throw new EspalierError(
      'ERR_TOKENIZER',
      `${path('added_tokens.json')} is not supported without tokenizer.json (save the tokenizer as a fast one)`,
    );
  }
  const vocabTxt = await readText(path('vocab.txt'));
  if (vocabTxt !== undefined) return naming(path('vocab.txt'), () => parseVocabTxt(vocabTxt, config));

  const vocabJson = await readText(path('vocab.json'));
  const merges = await readText(path('merges.txt'));
  if (vocabJson === undefined || merges === undefined) {
    throw new EspalierError(
      'ERR_TOKENIZER',
      `${directory} holds neither tokenizer.json nor vocab.txt nor vocab.json with merges.txt`,
    );
  }
  return naming(path('vocab.json'), () => parseVocabJson(vocabJson, merges, config));
}

/** A file's content, or undefined where there is no such file. */
async function readText(file: string): Promise<string | undefined> {
  try {
    const size = await regularFileSize(file);
    if (size > LARGEST_FILE) throw new RangeError(`its ${size} bytes are more than any tokenizer's`);
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new EspalierError('ERR_TOKENIZER', `cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** Makes a tokenizer, and puts the file's name before what is wrong with it. */
function naming(file: string, parse: () => TokenizerParts): Tokenizer {
  try {
    return new TokenizerPipeline(parse());
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    throw new EspalierError(error.code, `${file}: ${error.message}`, { cause: error });
  }
}
