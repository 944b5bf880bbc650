import { EspalierError } from '../native/errors.js';
import { type AddedToken, AddedTokenMatcher } from './added-tokens.js';
import type { Normalizer } from './bert-normalizer.js';
import type { PreTokenizer } from './bert-pre-tokenizer.js';
import { specialTokenCount, type Template, type TemplatePart } from './template.js';
import type { EncodeOptions, Encoding, Tokenizer } from './tokenizer.js';
import { truncateLongestFirst } from './truncation.js';
import type { TokenModel } from './word-piece.js';

/** What a tokenizer is made of, in the order in which a text passes through. */
export interface TokenizerParts {
  addedTokens: AddedToken[];
  normalize: Normalizer;
  preTokenize: PreTokenizer;
  model: TokenModel;
  template: Template;
  vocabularySize: number;
}

/** The tokens of one text, without special tokens. */
type Tokens = Omit<Encoding, 'typeIds'>;

export class TokenizerPipeline implements Tokenizer {
  readonly vocabularySize: number;
  private readonly rawTokens: AddedTokenMatcher;
  private readonly normalizedTokens: AddedTokenMatcher;

  constructor(private readonly parts: TokenizerParts) {
    this.vocabularySize = parts.vocabularySize;
    this.rawTokens = new AddedTokenMatcher(parts.addedTokens.filter((token) => !token.normalized));
    this.normalizedTokens = new AddedTokenMatcher(
      parts.addedTokens.filter((token) => token.normalized).map((token) => normalizeContent(token, parts.normalize)),
    );
  }

  encode(text: string, pair?: string, { maxLength }: EncodeOptions = {}): Encoding {
    const first = this.tokenize(text);
    const second = pair === undefined ? undefined : this.tokenize(pair);
    const parts = second ? this.parts.template.pair : this.parts.template.single;
    const budget = maxLength === undefined ? Number.POSITIVE_INFINITY : tokenBudget(maxLength, parts);
    const [firstLength, secondLength] = truncateLongestFirst(first.ids.length, second?.ids.length ?? 0, budget);

    const encoding: Encoding = { ids: [], typeIds: [], starts: [], ends: [] };
    for (const part of parts) {
      if ('id' in part) append(encoding, { ids: [part.id], starts: [0], ends: [0] }, 1, part.typeId);
      else if (part.sequence === 'first') append(encoding, first, firstLength, part.typeId);
      else if (second) append(encoding, second, secondLength, part.typeId);
    }
    return encoding;
  }

  private tokenize(text: string): Tokens {
    const tokens: Tokens = { ids: [], starts: [], ends: [] };
    for (const { start, end, id } of this.rawTokens.split(text)) {
      if (id === undefined) this.tokenizeSegment(text.slice(start, end), start, tokens);
      else pushToken(tokens, id, start, end);
    }
    return tokens;
  }

  /** Adds the tokens of a segment without raw added tokens, which begins at `base` in the text. */
  private tokenizeSegment(segment: string, base: number, tokens: Tokens): void {
    const aligned = this.parts.normalize(segment);
    const push = (id: number, start: number, end: number) =>
      pushToken(tokens, id, base + aligned.sourceStart(start), base + aligned.sourceEnd(end));

    for (const { start, end, id } of this.normalizedTokens.split(aligned.text)) {
      if (id !== undefined) {
        push(id, start, end);
        continue;
      }
      const plain = aligned.text.slice(start, end);
      const words = this.parts.preTokenize(plain);
      for (let word = 0; word < words.length; word += 2) {
        const pieces = this.parts.model.tokenize(plain.slice(words[word], words[word + 1]));
        let pieceStart = start + words[word];
        for (let piece = 0; piece < pieces.ids.length; piece++) {
          const pieceEnd = start + words[word] + pieces.ends[piece];
          push(pieces.ids[piece], pieceStart, pieceEnd);
          pieceStart = pieceEnd;
        }
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
      `maxLength must be an integer of at least ${specials}, the number of special tokens, not ${maxLength}`,
    );
  }
  return maxLength - specials;
}

function pushToken(tokens: Tokens, id: number, start: number, end: number): void {
  tokens.ids.push(id);
  tokens.starts.push(start);
  tokens.ends.push(end);
}

function append(encoding: Encoding, tokens: Tokens, length: number, typeId: number): void {
  for (let token = 0; token < length; token++) {
    pushToken(encoding, tokens.ids[token], tokens.starts[token], tokens.ends[token]);
    encoding.typeIds.push(typeId);
  }
}
