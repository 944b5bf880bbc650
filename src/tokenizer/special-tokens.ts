import type { NewToken } from './added-vocabulary.js';
import type { TokenizerKind } from './tokenizer-kind.js';

/** How a token is matched and whether it counts as special; where `normalized` is not said, special ones are not. */
export type ConfiguredToken = Omit<NewToken, 'normalized'> & { normalized?: boolean };
/** A special token: with how it is matched, or its text alone. */
export type SpecialToken = ConfiguredToken | string;

/** A token that is matched wherever it stands. */
export const plainToken = (content: string, special: boolean): ConfiguredToken => ({
  content,
  singleWord: false,
  lstrip: false,
  rstrip: false,
  special,
});

export const textOf = (token: SpecialToken): string => (typeof token === 'string' ? token : token.content);

/** The special tokens that have names, in the order in which transformers adds them. */
export const specialNames = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
] as const;
export type SpecialName = (typeof specialNames)[number];

/** What they are called where the files do not say. */
export const standardTokens: Record<TokenizerKind, Partial<Record<SpecialName, string>>> = {
  bert: { unk_token: '[UNK]', sep_token: '[SEP]', pad_token: '[PAD]', cls_token: '[CLS]', mask_token: '[MASK]' },
  roberta: {
    bos_token: '<s>',
    eos_token: '</s>',
    unk_token: '<unk>',
    sep_token: '</s>',
    pad_token: '<pad>',
    cls_token: '<s>',
    mask_token: '<mask>',
  },
  plain: {},
};
