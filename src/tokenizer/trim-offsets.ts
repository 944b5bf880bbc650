import { blank } from './byte-alphabet.js';
import { isWhitespace, unitsOf } from './unicode.js';

/** How many characters of white space something begins and ends with. */
interface Blanks {
  leading: number;
  trailing: number;
}

/** Takes the white space that tokens of byte-level BPE begin or end with out of the parts of the text they stand for. */
export class OffsetTrimmer {
  private readonly blanksById: Blanks[];

  /** `prefixSpace`: the first token may begin with a blank that is not in the text. */
  constructor(
    ids: ReadonlyMap<string, number>,
    private readonly prefixSpace: boolean,
  ) {
    this.blanksById = new Array(ids.size);
    for (const [token, id] of ids) this.blanksById[id] = blanksOf(token);
  }

  /**
   * The trimmed part of a token that stands for the text's [start, end) and is the index-th of its sequence. An added
   * token begins and ends with what it swallowed of the text.
   */
  trim(text: string, id: number, start: number, end: number, index: number, added: boolean): [number, number] {
    const { leading, trailing } = added ? blanksOf(text.slice(start, end)) : this.blanksById[id];
    const isPrefix = this.prefixSpace && leading === 1 && (index === 0 || start === 0);
    const trimmed = isPrefix ? start : forward(text, start, leading, end);
    return [trimmed, backward(text, end, trailing, trimmed)];
  }
}

function blanksOf(token: string): Blanks {
  const characters = [...token];
  const first = characters.findIndex((char) => !isBlank(char));
  const last = characters.findLastIndex((char) => !isBlank(char));
  return { leading: first === -1 ? characters.length : first, trailing: characters.length - 1 - last };
}

const isBlank = (char: string): boolean => char === blank || isWhitespace(char.codePointAt(0) as number);

function forward(text: string, from: number, characters: number, limit: number): number {
  let position = from;
  for (let left = characters; left > 0 && position < limit; left--) {
    position += unitsOf(text.codePointAt(position) as number);
  }
  return position;
}

function backward(text: string, from: number, characters: number, limit: number): number {
  let position = from;
  for (let left = characters; left > 0 && position > limit; left--) {
    position -= position > 1 ? unitsOf(text.codePointAt(position - 2) as number) : 1;
  }
  return position;
}
