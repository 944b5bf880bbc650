import { EspalierError } from '../native/errors.js';
import { type AddedToken, AddedTokenMatcher } from './added-tokens.js';
import type { AlignedText } from './aligned-text.js';
import type { Normalizer } from './normalizer.js';
import type { PostProcessing } from './post-processor.js';
import type { PreTokenizer } from './pre-tokenizer.js';
import { specialTokenCount, type TemplatePart } from './template.js';
import type { TokenModel } from './token-model.js';
import type { EncodeOptions, Encoding, Tokenizer, WindowOptions } from './tokenizer.js';
import { Tokens } from './tokens.js';
import { truncateLongestFirst } from './truncation.js';
import { unitsOf } from './unicode.js';
import { windowsOf } from './windows.js';
import { WordCache } from './word-cache.js';

/** What a tokenizer is made of, in the order in which a text passes through. */
export interface TokenizerParts extends PostProcessing {
  addedTokens: AddedToken[];
  normalize: Normalizer;
  /** What added tokens were normalized by, where it is not what texts are. */
  normalizeTokens?: Normalizer;
  /** Put a blank before plain text that does not begin with one. */
  prefixSpace?: boolean;
  preTokenize: PreTokenizer;
  model: TokenModel;
  /** The ids of all tokens, added ones included. */
  vocabulary: ReadonlyMap<string, number>;
}

/** A stretch of a text's tokens. */
type Stretch = readonly [start: number, end: number];

export class TokenizerPipeline implements Tokenizer {
  readonly vocabulary: ReadonlyMap<string, number>;
  private readonly rawTokens: AddedTokenMatcher;
  private readonly normalizedTokens: AddedTokenMatcher;
  private readonly model: TokenModel;

  constructor(private readonly parts: TokenizerParts) {
    this.vocabulary = parts.vocabulary;
    this.rawTokens = new AddedTokenMatcher(parts.addedTokens.filter((token) => !token.normalized));
    const { normalizeTokens = parts.normalize } = parts;
    this.normalizedTokens = new AddedTokenMatcher(
      parts.addedTokens.filter((token) => token.normalized).map((token) => normalizeContent(token, normalizeTokens)),
    );
    this.model = new WordCache(parts.model);
  }

  encode(text: string, pair?: string, { maxLength }: EncodeOptions = {}): Encoding {
    const first = this.tokenize(text);
    const second = pair === undefined ? undefined : this.tokenize(pair);
    const parts = second ? this.parts.template.pair : this.parts.template.single;
    const budget = maxLength === undefined ? Number.POSITIVE_INFINITY : tokenBudget(maxLength, parts);
    const [firstLength, secondLength] = truncateLongestFirst(first.ids.length, second?.ids.length ?? 0, budget);
    return this.assemble(parts, first, [0, firstLength], second, [0, secondLength]);
  }

  encodeWindows(question: string, context: string, { maxLength, stride }: WindowOptions): Encoding[] {
    const parts = this.parts.template.pair;
    const budget = tokenBudget(maxLength, parts);
    const first = this.tokenize(question);
    const second = this.tokenize(context);
    const asked: Stretch = [0, first.ids.length];
    return windowsOf(second.ids.length, budget - first.ids.length, stride).map((window) =>
      this.assemble(parts, first, asked, second, window),
    );
  }

  private assemble(
    parts: readonly TemplatePart[],
    first: Tokens,
    firstStretch: Stretch,
    second: Tokens | undefined,
    secondStretch: Stretch,
  ): Encoding {
    const encoding: Encoding = { ids: [], typeIds: [], sequences: [], starts: [], ends: [] };
    for (const part of parts) {
      if ('id' in part) append(encoding, part.id, part.typeId, -1, 0, 0);
      else if (part.sequence === 'first') this.appendTokens(encoding, first, firstStretch, part.typeId, 0);
      else if (second) this.appendTokens(encoding, second, secondStretch, part.typeId, 1);
    }
    return encoding;
  }

  private appendTokens(encoding: Encoding, tokens: Tokens, [from, to]: Stretch, typeId: number, sequence: 0 | 1): void {
    const { trimmer } = this.parts;
    const { text, ids, added } = tokens;
    for (let token = from; token < to; token++) {
      const id = ids[token];
      let start = tokens.starts[token];
      let end = tokens.ends[token];
      if (trimmer) [start, end] = trimmer.trim(text, id, start, end, token - from, added.has(token));
      append(encoding, id, typeId, sequence, start, end);
    }
  }

  private tokenize(text: string): Tokens {
    const tokens = new Tokens(text);
    for (const { start, end, id } of this.rawTokens.split(text)) {
      if (id === undefined) this.tokenizeSegment(tokens, start, end);
      else tokens.pushAdded(id, start, end);
    }
    return tokens;
  }

  /** Adds the tokens of a stretch of the text that holds no raw added tokens. */
  private tokenizeSegment(tokens: Tokens, base: number, baseEnd: number): void {
    const aligned = this.parts.normalize(tokens.text.slice(base, baseEnd));
    for (const { start, end, id } of this.normalizedTokens.split(aligned.text)) {
      if (id === undefined) this.tokenizePlain(tokens, base, aligned, start, end);
      else tokens.pushAdded(id, base + aligned.sourceStart(start), base + aligned.sourceEnd(end));
    }
  }

  /** Adds the tokens of a stretch of a normalized segment, which begins at `base` in its text, without added tokens. */
  private tokenizePlain(tokens: Tokens, base: number, aligned: AlignedText, start: number, end: number): void {
    const prefix = this.parts.prefixSpace && aligned.text[start] !== ' ' ? ' ' : '';
    // What was put before the text stands for the text's first character.
    const firstEnd = start + unitsOf(aligned.text.codePointAt(start) as number);
    const plain = prefix + aligned.text.slice(start, end);
    const words = this.parts.preTokenize(plain);
    for (let word = 0; word < words.length; word += 2) {
      const wordStart = start + words[word] - prefix.length;
      const { ids, starts, ends } = this.model.tokenize(plain.slice(words[word], words[word + 1]));
      for (let piece = 0; piece < ids.length; piece++) {
        const pieceStart = Math.max(start, wordStart + starts[piece]);
        const pieceEnd = Math.max(firstEnd, wordStart + ends[piece]);
        tokens.push(ids[piece], base + aligned.sourceStart(pieceStart), base + aligned.sourceEnd(pieceEnd));
      }
    }
  }
}

function normalizeContent(token: AddedToken, normalize: Normalizer): AddedToken {
  const content = normalize(token.content).text;
  if (content === '') {
    throw new EspalierError('ERR_TOKENIZER', `nothing is left of the added token ${token.content} once normalized`);
  }
  return { ...token, content };
}

function tokenBudget(maxLength: number, parts: readonly TemplatePart[]): number {
  const specials = specialTokenCount(parts);
  if (!Number.isSafeInteger(maxLength) || maxLength < specials) {
    throw new EspalierError(
      'ERR_INVALID_ARGUMENT',
      `maxLength must be an integer of at least ${specials}, the number of special tokens, not ${maxLength} (give more)`,
    );
  }
  return maxLength - specials;
}

function append(
  encoding: Encoding,
  id: number,
  typeId: number,
  sequence: -1 | 0 | 1,
  start: number,
  end: number,
): void {
  encoding.ids.push(id);
  encoding.starts.push(start);
  encoding.ends.push(end);
  encoding.typeIds.push(typeId);
  encoding.sequences.push(sequence);
}
