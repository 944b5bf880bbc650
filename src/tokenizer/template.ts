/** One place in the finished input: a special token, or one of the sequences. */
export type TemplatePart = { id: number; typeId: number } | { sequence: 'first' | 'second'; typeId: number };

/** Where the special tokens go, with one text and with a pair of them. */
export interface Template {
  single: TemplatePart[];
  pair: TemplatePart[];
}

export const specialTokenCount = (parts: readonly TemplatePart[]): number =>
  parts.filter((part) => 'id' in part).length;

/** BERT's: [CLS] first [SEP], and for a pair [CLS] first [SEP] second [SEP], the second's part of type 1. */
export function bertTemplate(classification: number, separator: number): Template {
  const single: TemplatePart[] = [
    { id: classification, typeId: 0 },
    { sequence: 'first', typeId: 0 },
    { id: separator, typeId: 0 },
  ];
  return { single, pair: [...single, { sequence: 'second', typeId: 1 }, { id: separator, typeId: 1 }] };
}

/** RoBERTa's: <s> first </s>, and for a pair <s> first </s></s> second </s>, all of type 0. */
export function robertaTemplate(classification: number, separator: number): Template {
  const special = (id: number): TemplatePart => ({ id, typeId: 0 });
  const single: TemplatePart[] = [special(classification), { sequence: 'first', typeId: 0 }, special(separator)];
  return { single, pair: [...single, special(separator), { sequence: 'second', typeId: 0 }, special(separator)] };
}
