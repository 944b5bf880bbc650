import * as v from 'valibot';

/** What transformers makes of a tokenizer's files: what BERT's classes do, what RoBERTa's does, or what the files say. */
export type TokenizerKind = 'bert' | 'roberta' | 'plain';

const kindOfClass = {
  BertTokenizer: 'bert',
  BertTokenizerFast: 'bert',
  DistilBertTokenizer: 'bert',
  DistilBertTokenizerFast: 'bert',
  RobertaTokenizer: 'roberta',
  RobertaTokenizerFast: 'roberta',
  PreTrainedTokenizerFast: 'plain',
  // What transformers 5 calls the same.
  TokenizersBackend: 'plain',
} as const;
const classNames = Object.keys(kindOfClass) as (keyof typeof kindOfClass)[];

/** The `tokenizer_class` of tokenizer_config.json and of config.json. */
export const tokenizerClass = v.nullish(
  v.pipe(
    v.picklist(classNames, ({ received, expected }) => `${received} is not supported, only ${expected}`),
    v.transform((name): TokenizerKind => kindOfClass[name]),
  ),
);

/** The kind that a model's tokenizer has where no class is named. */
export const kindOfModel: ReadonlyMap<unknown, TokenizerKind> = new Map([
  ['bert', 'bert'],
  ['distilbert', 'bert'],
  ['roberta', 'roberta'],
]);
