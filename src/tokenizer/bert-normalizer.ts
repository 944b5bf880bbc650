import { AlignedText, AlignedTextBuilder } from './aligned-text.js';
import type { Normalizer } from './normalizer.js';
import {
  decompose,
  isChinese,
  isKeptCombining,
  isNonspacingMark,
  isRemoved,
  isWhitespace,
  unitsOf,
} from './unicode.js';

export interface BertNormalizerOptions {
  /** Drop control characters and make every kind of white space a blank. */
  cleanText: boolean;
  /** Make every Chinese character a word of its own. */
  handleChineseChars: boolean;
  /** Drop accents; null means: when lower-casing. */
  stripAccents: boolean | null;
  lowercase: boolean;
}

const PRINTABLE_ASCII = /^[ -~]*$/;
const isSurrogate = (point: number): boolean => point >= 0xd800 && point <= 0xdfff;

/** BERT's basic cleaning. Lone surrogates, which no UTF-8 text can hold, count as U+FFFD. */
export function bertNormalizer(options: BertNormalizerOptions): Normalizer {
  const stripAccents = options.stripAccents ?? options.lowercase;

  const clean = (point: number, char: string): string => {
    if (isSurrogate(point)) return options.cleanText ? '' : '\ufffd';
    if (options.cleanText && isRemoved(point)) return '';
    if (options.cleanText && isWhitespace(point)) return ' ';
    return options.handleChineseChars && isChinese(point) ? ` ${char} ` : char;
  };
  const fold = (point: number, char: string): string => {
    if (stripAccents && isNonspacingMark(point)) return '';
    // One character at a time: a word's last sigma must not become a final sigma.
    return options.lowercase ? char.toLowerCase() : char;
  };

  return (text) => {
    if (PRINTABLE_ASCII.test(text)) return new AlignedText(options.lowercase ? text.toLowerCase() : text);
    const cleaned = new AlignedText(text).mapCharacters(clean);
    return (stripAccents ? decomposeAligned(cleaned) : cleaned).mapCharacters(fold);
  };
}

function decomposeAligned(source: AlignedText): AlignedText {
  const inPlace = source.mapCharacters((_, char) => decompose(char));
  // Canonical ordering only moves combining marks, and nearly all of those are dropped next.
  const orderMatters = [...inPlace.text].some((char) => isKeptCombining(char.codePointAt(0) as number));
  return orderMatters ? decomposeInOrder(source) : inPlace;
}

/**
 * Decomposition with canonical ordering. The reference library hands out the source characters in order to the
 * decomposed characters that came first in theirs, wherever ordering moved those; the others share the place of the
 * character before them. Equal characters never overtake each other, so a queue for each tells which came first.
 */
function decomposeInOrder(source: AlignedText): AlignedText {
  const cameFirst = new Map<string, boolean[]>();
  for (const char of source.text) {
    let first = true;
    for (const part of decompose(char)) {
      const queue = cameFirst.get(part);
      if (queue) queue.push(first);
      else cameFirst.set(part, [first]);
      first = false;
    }
  }
  for (const queue of cameFirst.values()) queue.reverse();

  const result = new AlignedTextBuilder();
  let start = 0;
  let end = 0;
  for (const part of decompose(source.text)) {
    if (cameFirst.get(part)?.pop()) {
      start = end;
      end += unitsOf(source.text.codePointAt(start) as number);
    }
    result.append(part, source.sourceStart(start), source.sourceEnd(end));
  }
  return result.build();
}
