import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { regularFileSize } from '../checkpoint/regular-file.js';
import { EspalierError } from '../native/errors.js';
import { type TokenizerParts, TokenizerPipeline } from './pipeline.js';
import { type ConfigFiles, configFiles, parseTokenizerConfig } from './tokenizer-config.js';
import { parseTokenizerJson } from './tokenizer-json.js';
import type { TokenizerKind } from './tokenizer-kind.js';
import { naming } from './validate.js';
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
 * Loads a checkpoint's tokenizer as transformers' AutoTokenizer does: from tokenizer.json, or where there is none from
 * BERT's vocab.txt or RoBERTa's vocab.json and merges.txt, with the settings that lie beside them. Truncation and
 * padding stored in those files do not count: encode's options do.
 * @throws EspalierError ERR_TOKENIZER
 */
export async function loadTokenizer(directory: string): Promise<Tokenizer> {
  const path = (name: string) => join(directory, name);
  const make = (file: string, parse: () => TokenizerParts) => naming(path(file), () => new TokenizerPipeline(parse()));
  const found: ConfigFiles = {};
  for (const name of configFiles) found[name] = await readText(path(name));
  const config = naming(directory, () => parseTokenizerConfig(found));

  const json = await readText(path('tokenizer.json'));
  if (json !== undefined) return make('tokenizer.json', () => parseTokenizerJson(json, config));

  const { kind } = config;
  if (kind === 'bert' || kind === undefined) {
    const vocabulary = await readText(path('vocab.txt'));
    if (vocabulary !== undefined) return make('vocab.txt', () => parseVocabTxt(vocabulary, config));
  }
  if (kind === 'roberta' || kind === undefined) {
    const vocabulary = await readText(path('vocab.json'));
    const merges = await readText(path('merges.txt'));
    if (vocabulary !== undefined && merges !== undefined) {
      return make('vocab.json', () => parseVocabJson(vocabulary, merges, config));
    }
  }
  throw new EspalierError('ERR_TOKENIZER', `${directory} holds ${kind ? absent[kind] : absent.any}`);
}

const absent: Record<TokenizerKind | 'any', string> = {
  bert: 'neither tokenizer.json nor vocab.txt',
  roberta: 'neither tokenizer.json nor vocab.json with merges.txt',
  plain: 'no tokenizer.json, which its tokenizer class needs',
  any: 'neither tokenizer.json nor vocab.txt nor vocab.json with merges.txt',
};

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
