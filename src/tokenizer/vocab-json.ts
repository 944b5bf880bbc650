import * as v from 'valibot';
import { byteLevelPreTokenizer } from './byte-level-pre-tokenizer.js';
import { BytePairEncoding } from './byte-pair-encoding.js';
import { parseMergesTxt } from './merges.js';
import { asItIs } from './normalizer.js';
import type { TokenizerParts } from './pipeline.js';
import { robertaTemplate } from './template.js';
import { addedTokensDecoder, configuredTokens, specialToken, tokenizerClass } from './tokenizer-config.js';
import { OffsetTrimmer } from './trim-offsets.js';
import { parseJson, tokenIds, validate } from './validate.js';
import { checkVocabulary, idsOf } from './vocabulary.js';

const tokenizerConfig = v.object({
  tokenizer_class: tokenizerClass(['RobertaTokenizer', 'RobertaTokenizerFast']),
  add_prefix_space: v.optional(v.boolean(), false),
  trim_offsets: v.optional(v.boolean(), true),
  bos_token: specialToken('<s>'),
  cls_token: specialToken('<s>'),
  pad_token: specialToken('<pad>'),
  eos_token: specialToken('</s>'),
  sep_token: specialToken('</s>'),
  unk_token: specialToken('<unk>'),
  mask_token: specialToken('<mask>', { lstrip: true }),
  added_tokens_decoder: addedTokensDecoder,
});

/**
 * Makes RoBERTa's tokenizer from the contents of vocab.json, merges.txt and tokenizer_config.json.
 * @throws EspalierError ERR_TOKENIZER
 */
export function parseVocabJson(vocabJson: string, mergesTxt: string, config: string): TokenizerParts {
  const options = validate(tokenizerConfig, parseJson(config));
  const vocabulary = checkVocabulary(Object.entries(validate(tokenIds, parseJson(vocabJson))));
  const { cls_token: first, sep_token: separator, add_prefix_space: prefixSpace } = options;
  const { bos_token: begin, pad_token: pad, eos_token: end, unk_token: unknown, mask_token: mask } = options;
  const addedTokens = configuredTokens(
    [begin, first, pad, end, separator, unknown, mask],
    options.added_tokens_decoder,
    vocabulary,
  );
  const ids = idsOf(vocabulary, addedTokens);
  return {
    addedTokens,
    normalize: asItIs,
    prefixSpace,
    preTokenize: byteLevelPreTokenizer,
    model: new BytePairEncoding(vocabulary, parseMergesTxt(mergesTxt)),
    template: robertaTemplate(ids.get(first.content) as number, ids.get(separator.content) as number),
    trimmer: options.trim_offsets ? new OffsetTrimmer(ids, prefixSpace) : undefined,
    vocabulary: ids,
  };
}
