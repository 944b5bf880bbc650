import type { AddedToken } from './added-tokens.js';
import { idsOf } from './vocabulary.js';

/** An added token before it has its id. */
export interface NewToken extends Omit<AddedToken, 'id'> {
  special: boolean;
}

const flags = ['singleWord', 'lstrip', 'rstrip', 'normalized', 'special'] as const;

/** The added tokens of a file, and what is added to them or instead of them, by the Rust tokenizers library's rules. */
export class AddedVocabulary {
  private readonly filed: ReadonlyMap<string, NewToken>;
  private readonly latest = new Map<string, AddedToken>();
  private readonly special = new Map<string, NewToken>();
  private readonly other: NewToken[] = [];
  private nextId: number;

  constructor(
    private readonly vocabulary: ReadonlyMap<string, number>,
    filed: readonly (NewToken & AddedToken)[],
  ) {
    this.filed = new Map(filed.map((token) => [token.content, token]));
    this.nextId = idsOf(vocabulary, filed).size;
    for (const token of filed) this.insert(token, token.id);
  }

  has(content: string): boolean {
    return this.latest.has(content);
  }

  /** Whether the file has the very same token. */
  isFiled(token: NewToken): boolean {
    const filed = this.filed.get(token.content);
    return flags.every((flag) => filed?.[flag] === token[flag]);
  }

  /** The id of the token, which extends the vocabulary where it is new, and changes nothing where the file has it so. */
  add(token: NewToken): number {
    const known = this.latest.get(token.content)?.id ?? this.vocabulary.get(token.content);
    const id = known ?? this.nextId++;
    if (!this.isFiled(token)) this.insert(token, id);
    return id;
  }

  /**
   * Every token is matched as it was last added, but where it is looked for, in the text or in what this is normalized
   * to, keeps what was said before it was special and when it became so: the same text may be there twice.
   */
  tokens(): AddedToken[] {
    return [...this.special.values(), ...this.other].map(({ content, normalized }) => ({
      ...(this.latest.get(content) as AddedToken),
      normalized,
    }));
  }

  private insert(token: NewToken, id: number): void {
    if (!this.special.has(token.content)) {
      if (token.special) this.special.set(token.content, token);
      else this.other.push(token);
    }
    this.latest.set(token.content, { ...token, id });
  }
}
