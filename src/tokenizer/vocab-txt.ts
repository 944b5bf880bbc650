import * as v from 'valibot';
import { bertNormalizer } from './bert-normalizer.js';
import { bertPreTokenizer } from './bert-pre-tokenizer.js';
import type { TokenizerParts } from './pipeline.js';
import { bertTemplate } from './template.js';
import { parseJson, validate } from './validate.js';
import { checkVocabulary, missingToken } from './vocabulary.js';
import { WordPiece } from './word-piece.js';

/** A special token's name, written plainly or with matching options (which BERT's tokenizers do not use). */
const tokenName = (standard: string) =>
  v.optional(
    v.pipe(
      v.union([v.string(), v.object({ content: v.string() })]),
      v.transform((token) => (typeof token === 'string' ? token : token.content)),
      v.nonEmpty(),
    ),
    standard,
  );

const tokenizerConfig = v.object({
  tokenizer_class: v.optional(
    v.picklist(
      ['BertTokenizer', 'BertTokenizerFast', 'DistilBertTokenizer', 'DistilBertTokenizerFast'],
      (issue) => `${issue.received} is not supported without a tokenizer.json, only ${issue.expected}`,
    ),
  ),
  do_lower_case: v.optional(v.boolean(), true),
  strip_accents: v.nullish(v.boolean(), null),
  tokenize_chinese_chars: v.optional(v.boolean(), true),
  cls_token: tokenName('[CLS]'),
  sep_token: tokenName('[SEP]'),
  unk_token: tokenName('[UNK]'),
  pad_token: tokenName('[PAD]'),
  mask_token: tokenName('[MASK]'),
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

  const specials = [options.pad_token, options.unk_token, options.cls_token, options.sep_token, options.mask_token];
  const idOf = (token: string): number => {
    const id = vocabulary.get(token);
    if (id === undefined) throw missingToken(token);
    return id;
  };
  return {
    addedTokens: specials.map((content) => ({
      id: idOf(content),
      content,
      singleWord: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    })),
    normalize: bertNormalizer({
      cleanText: true,
      handleChineseChars: options.tokenize_chinese_chars,
      stripAccents: options.strip_accents,
      lowercase: options.do_lower_case,
    }),
    preTokenize: bertPreTokenizer,
    model: new WordPiece(vocabulary, {
      unknownToken: options.unk_token,
      continuingPrefix: '##',
      maxWordCharacters: 100,
    }),
    template: bertTemplate(idOf(options.cls_token), idOf(options.sep_token)),
    vocabularySize: vocabulary.size,
  };
}
