import { EspalierError } from '../native/errors.js';
import { isWhitespace, isWord } from './unicode.js';

/** A token found in the text before it is split into words. */
export interface AddedToken {
  id: number;
  content: string;
  /** Only match where no word character touches it. */
  singleWord: boolean;
  /** Swallow white space on the left, on the right. */
  lstrip: boolean;
  rstrip: boolean;
  /** Match in the normalized text, its content normalized too. */
  normalized: boolean;
}

/**
 * Checks the ids of added tokens: those that the vocabulary lacks extend it, in their order.
 * @throws EspalierError ERR_TOKENIZER
 */
export function checkAddedTokens<T extends AddedToken>(tokens: T[], vocabulary: ReadonlyMap<string, number>): T[] {
  const seen = new Set<string>();
  let nextId = vocabulary.size;
  for (const { id, content } of tokens) {
    if (seen.has(content)) throw new EspalierError('ERR_TOKENIZER', `the added token ${content} is listed twice`);
    seen.add(content);
    const expected = vocabulary.get(content) ?? nextId++;
    if (id !== expected) {
      throw new EspalierError(
        'ERR_TOKENIZER',
        `the added token ${content} has the id ${id}, but must have ${expected}`,
      );
    }
  }
  return tokens;
}

/** A stretch of a text: an added token where `id` is there, plain text otherwise. */
export interface Segment {
  start: number;
  end: number;
  id?: number;
}

/** Finds added tokens in a text: leftmost first, the longest of those that start at one place. */
export class AddedTokenMatcher {
  private readonly pattern: RegExp | undefined;
  private readonly byContent = new Map<string, AddedToken>();

  /** Where two tokens have the same content, the first one counts. */
  constructor(tokens: readonly AddedToken[]) {
    for (const token of tokens) if (!this.byContent.has(token.content)) this.byContent.set(token.content, token);
    const longestFirst = [...this.byContent.keys()].sort((a, b) => b.length - a.length);
    const escaped = longestFirst.map((content) => content.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
    if (escaped.length > 0) this.pattern = new RegExp(escaped.join('|'), 'g');
  }

  split(text: string): Segment[] {
    const segments: Segment[] = [];
    let done = 0;
    for (const match of this.pattern ? text.matchAll(this.pattern) : []) {
      const token = this.byContent.get(match[0]) as AddedToken;
      let start = match.index;
      let end = start + match[0].length;
      if (token.singleWord && (endsWithWord(text, start) || startsWithWord(text, end))) continue;
      if (token.lstrip) while (start > done && isWhitespace(text.charCodeAt(start - 1))) start--;
      // The token before may have swallowed what this one begins with.
      if (token.lstrip) start = Math.min(Math.max(start, done), end);
      if (token.rstrip) while (end < text.length && isWhitespace(text.charCodeAt(end))) end++;
      if (start > done) segments.push({ start: done, end: start });
      segments.push({ start, end, id: token.id });
      done = end;
    }
    if (done < text.length) segments.push({ start: done, end: text.length });
    return segments;
  }
}

const endsWithWord = (text: string, end: number): boolean =>
  isWord([...text.slice(Math.max(0, end - 2), end)].at(-1)?.codePointAt(0) ?? 0);
const startsWithWord = (text: string, start: number): boolean => isWord(text.codePointAt(start) ?? 0);
