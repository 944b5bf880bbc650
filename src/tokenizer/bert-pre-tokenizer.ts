import type { PreTokenizer } from './pre-tokenizer.js';
import { isPunctuation, isWhitespace, unitsOf } from './unicode.js';

/** Splits at white space, which vanishes, and around every punctuation character, which is a word of its own. */
export const bertPreTokenizer: PreTokenizer = (text) => {
  const words: number[] = [];
  let start = 0;
  for (let position = 0; position < text.length; ) {
    const point = text.codePointAt(position) as number;
    const next = position + unitsOf(point);
    const punctuation = isPunctuation(point);
    if (punctuation || isWhitespace(point)) {
      if (position > start) words.push(start, position);
      if (punctuation) words.push(position, next);
      start = next;
    }
    position = next;
  }
  if (text.length > start) words.push(start, text.length);
  return words;
};
