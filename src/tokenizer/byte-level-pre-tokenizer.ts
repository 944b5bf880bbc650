import type { PreTokenizer } from './pre-tokenizer.js';
import { type CharacterClass, characterClass, unitsOf } from './unicode.js';

/**
 * GPT-2's words (Radford et al. 2019), of which RoBERTa's are made: English contractions; runs of letters, of digits, of
 * other characters, each with the blank before it; runs of white space but for the one character before a word. As a
 * regular expression: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 */
export const byteLevelPreTokenizer: PreTokenizer = (text) => {
  const words: number[] = [];
  for (let start = 0; start < text.length; ) {
    const end = start + (contractionLength(text, start) || wordLength(text, start));
    words.push(start, end);
    start = end;
  }
  return words;
};

/** Everything is one word: the pre-tokenizer with `use_regex` off. */
export const wholeText: PreTokenizer = (text) => (text === '' ? [] : [0, text.length]);

function contractionLength(text: string, start: number): number {
  if (text[start] !== "'") return 0;
  switch (text[start + 1]) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return text[start + 2] === 'e' ? 3 : 0;
    case 'l':
      return text[start + 2] === 'l' ? 3 : 0;
    default:
      return 0;
  }
}

function wordLength(text: string, start: number): number {
  const first = classAt(text, start);
  const kind = text[start] === ' ' && start + 1 < text.length ? classAt(text, start + 1) : first;
  let end = start + (kind === first ? 0 : 1);
  while (end < text.length && classAt(text, end) === kind) end += unitsOf(text.codePointAt(end) as number);
  const leavesOne = kind === 'whitespace' && end < text.length && end - start > 1;
  return end - start - (leavesOne ? 1 : 0);
}

const classAt = (text: string, position: number): CharacterClass =>
  characterClass(text.codePointAt(position) as number);
