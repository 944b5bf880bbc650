/**
 * A text made from another one that still knows where each of its code units came from. Positions count UTF-16 code
 * units, as String.slice does. A text made without alignments equals its source.
 */
export class AlignedText {
  constructor(
    readonly text: string,
    private readonly starts?: readonly number[],
    private readonly ends?: readonly number[],
  ) {}

  /** Where the code unit at `position` begins in the source. */
  sourceStart(position: number): number {
    return this.starts ? this.starts[position] : position;
  }

  /** Where the code unit before `position` ends in the source. */
  sourceEnd(position: number): number {
    return this.ends ? this.ends[position - 1] : position;
  }

  /** Replaces every character (code point) by a string, which may be empty and takes over the character's place. */
  mapCharacters(replace: (point: number, char: string) => string): AlignedText {
    const result = new AlignedTextBuilder();
    let position = 0;
    for (const char of this.text) {
      const next = position + char.length;
      result.append(replace(char.codePointAt(0) as number, char), this.sourceStart(position), this.sourceEnd(next));
      position = next;
    }
    return result.build();
  }
}

export class AlignedTextBuilder {
  private text = '';
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];

  /** Adds characters that stand for the source's [start, end). */
  append(chars: string, start: number, end: number): void {
    this.text += chars;
    for (let unit = 0; unit < chars.length; unit++) {
      this.starts.push(start);
      this.ends.push(end);
    }
  }

  build(): AlignedText {
    return new AlignedText(this.text, this.starts, this.ends);
  }
}
