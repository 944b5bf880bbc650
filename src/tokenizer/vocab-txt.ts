import * as v from 'valibot';
import { bertNormalizer } from './bert-normalizer.js';
import { bertPreTokenizer } from './bert-pre-tokenizer.js';
import type { TokenizerParts } from './pipeline.js';
import { bertTemplate } from './template.js';
import { addedTokensDecoder, configuredTokens, specialToken, tokenizerClass } from './tokenizer-config.js';
import { parseJson, validate } from './validate.js';
import { checkVocabulary, idsOf } from './vocabulary.js';
import { WordPiece } from './word-piece.js';

const tokenizerConfig = v.object({
  tokenizer_class: tokenizerClass([
    'BertTokenizer',
    'BertTokenizerFast',
    'DistilBertTokenizer',
    'DistilBertTokenizerFast',
  ]),
  do_basic_tokenize: v.optional(v.literal(true, 'false is not supported without a tokenizer.json')),
  do_lower_case: v.optional(v.boolean(), true),
  strip_accents: v.nullish(v.boolean(), null),
  tokenize_chinese_chars: v.optional(v.boolean(), true),
  cls_token: specialToken('[CLS]'),
  sep_token: specialToken('[SEP]'),
  unk_token: specialToken('[UNK]'),
  pad_token: specialToken('[PAD]'),
  mask_token: specialToken('[MASK]'),
  added_tokens_decoder: addedTokensDecoder,
});

/**
 * Makes BERT's tokenizer from a vocabulary of one token a line and the content of tokenizer_config.json.
 * @throws EspalierError ERR_TOKENIZER
 */
export function parseVocabTxt(vocabTxt: string, config: string): TokenizerParts {
  const options = validate(tokenizerConfig, parseJson(config));
  const lines = vocabTxt.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  const vocabulary = checkVocabulary(lines.map((token, line) => [token, line] as const));
  const { pad_token: pad, unk_token: unknown, cls_token: first, sep_token: separator, mask_token: mask } = options;
  const addedTokens = configuredTokens(
    [pad, unknown, first, separator, mask],
    options.added_tokens_decoder,
    vocabulary,
  );
  const ids = idsOf(vocabulary, addedTokens);
  return {
    addedTokens,
    normalize: bertNormalizer({
      cleanText: true,
      handleChineseChars: options.tokenize_chinese_chars,
      stripAccents: options.strip_accents,
      lowercase: options.do_lower_case,
    }),
    preTokenize: bertPreTokenizer,
    model: new WordPiece(vocabulary, {
      unknownToken: unknown.content,
      continuingPrefix: '##',
      maxWordCharacters: 100,
    }),
    template: bertTemplate(ids.get(first.content) as number, ids.get(separator.content) as number),
    vocabulary: ids,
  };
}
