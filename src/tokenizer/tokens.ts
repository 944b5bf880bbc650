/** The tokens of one text, without special tokens. */
export class Tokens {
  readonly ids: number[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  /** Places of added tokens. */
  readonly added = new Set<number>();

  constructor(readonly text: string) {}

  push(id: number, start: number, end: number): void {
    this.ids.push(id);
    this.starts.push(start);
    this.ends.push(end);
  }

  pushAdded(id: number, start: number, end: number): void {
    this.added.add(this.ids.length);
    this.push(id, start, end);
  }
}
