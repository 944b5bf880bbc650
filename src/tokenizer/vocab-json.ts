import { byteLevelPreTokenizer } from './byte-level-pre-tokenizer.js';
import { BytePairEncoding } from './byte-pair-encoding.js';
import { configuredTokens } from './configured-tokens.js';
import { parseMergesTxt } from './merges.js';
import { asItIs } from './normalizer.js';
import type { TokenizerParts } from './pipeline.js';
import { robertaTemplate } from './template.js';
import { requiredToken, type TokenizerConfig } from './tokenizer-config.js';
import { OffsetTrimmer } from './trim-offsets.js';
import { parseJson, tokenIds, validate } from './validate.js';
import { checkVocabulary, idsOf } from './vocabulary.js';

/**
 * Makes RoBERTa's tokenizer from the contents of vocab.json and merges.txt and from its configuration.
 * @throws EspalierError ERR_TOKENIZER
 */
export function parseVocabJson(vocabJson: string, mergesTxt: string, configuration: TokenizerConfig): TokenizerParts {
  const config: TokenizerConfig = { ...configuration, kind: 'roberta' };
  const vocabulary = checkVocabulary(Object.entries(validate(tokenIds, parseJson(vocabJson))));
  const addedTokens = configuredTokens(config, vocabulary);
  const ids = idsOf(vocabulary, addedTokens);
  const idOf = (name: 'cls_token' | 'sep_token') => ids.get(requiredToken(config, name)) as number;
  return {
    addedTokens,
    normalize: asItIs,
    prefixSpace: config.prefixSpace,
    preTokenize: byteLevelPreTokenizer,
    model: new BytePairEncoding(vocabulary, parseMergesTxt(mergesTxt)),
    template: robertaTemplate(idOf('cls_token'), idOf('sep_token')),
    trimmer: config.trimOffsets ? new OffsetTrimmer(ids, config.prefixSpace) : undefined,
    vocabulary: ids,
  };
}
