import * as ranges from './unicode-ranges.js';

const WHITESPACE = 1;
const PUNCTUATION = 2;
const REMOVED = 4;
const CHINESE = 8;
const NONSPACING_MARK = 16;
const KEPT_COMBINING = 32;
const UNNORMALIZED = 64;
const LETTER = 128;
const NUMBER = 256;
const WORD = 512;

/** Flags of every code point, so that a test is one look-up. */
const flags = new Uint16Array(0x110000);

function mark(table: string, flag: number): void {
  for (const range of table.trim().split(/\s+/)) {
    const [first, last = first] = range.split('-').map((hexadecimal) => Number.parseInt(hexadecimal, 16));
    for (let point = first; point <= last; point++) flags[point] |= flag;
  }
}

mark(ranges.WHITESPACE, WHITESPACE);
mark(ranges.PUNCTUATION, PUNCTUATION);
mark(ranges.REMOVED, REMOVED);
mark(ranges.CHINESE, CHINESE);
mark(ranges.NONSPACING_MARK, NONSPACING_MARK);
mark(ranges.KEPT_COMBINING, KEPT_COMBINING);
mark(ranges.UNNORMALIZED, UNNORMALIZED);
mark(ranges.LETTER, LETTER);
mark(ranges.NUMBER, NUMBER);
mark(ranges.WORD, WORD);

export const isWhitespace = (point: number): boolean => (flags[point] & WHITESPACE) !== 0;
export const isPunctuation = (point: number): boolean => (flags[point] & PUNCTUATION) !== 0;
export const isRemoved = (point: number): boolean => (flags[point] & REMOVED) !== 0;
export const isChinese = (point: number): boolean => (flags[point] & CHINESE) !== 0;
export const isNonspacingMark = (point: number): boolean => (flags[point] & NONSPACING_MARK) !== 0;
export const isWord = (point: number): boolean => (flags[point] & WORD) !== 0;
export const isKeptCombining = (point: number): boolean => (flags[point] & KEPT_COMBINING) !== 0;

export type CharacterClass = 'letter' | 'number' | 'whitespace' | 'other';

/** The class that byte-level BPE's words are made of: every code point has exactly one. */
export function characterClass(point: number): CharacterClass {
  const flag = flags[point];
  if (flag & LETTER) return 'letter';
  if (flag & NUMBER) return 'number';
  return flag & WHITESPACE ? 'whitespace' : 'other';
}

/** How many UTF-16 code units the code point takes. */
export const unitsOf = (point: number): number => (point > 0xffff ? 2 : 1);

const isUnnormalized = (char: string): boolean => (flags[char.codePointAt(0) ?? 0] & UNNORMALIZED) !== 0;

/** Canonical decomposition (NFD) that leaves alone, and never reorders across, what Unicode 9 did not know. */
export function decompose(text: string): string {
  let decomposed = '';
  let run = '';
  for (const char of text) {
    if (isUnnormalized(char)) {
      decomposed += run.normalize('NFD') + char;
      run = '';
    } else {
      run += char;
    }
  }
  return decomposed + run.normalize('NFD');
}
