import { bertNormalizer } from './bert-normalizer.js';
import { bertPreTokenizer } from './bert-pre-tokenizer.js';
import { configuredTokens } from './configured-tokens.js';
import type { TokenizerParts } from './pipeline.js';
import { bertTemplate } from './template.js';
import { requiredToken, type TokenizerConfig } from './tokenizer-config.js';
import { checkVocabulary, idsOf } from './vocabulary.js';
import { WordPiece } from './word-piece.js';

/**
 * Makes BERT's tokenizer from a vocabulary of one token a line and from its configuration.
 * @throws EspalierError ERR_TOKENIZER
 */
export function parseVocabTxt(vocabTxt: string, configuration: TokenizerConfig): TokenizerParts {
  const config: TokenizerConfig = { ...configuration, kind: 'bert' };
  const lines = vocabTxt.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  const vocabulary = checkVocabulary(lines.map((token, line) => [token, line] as const));
  const addedTokens = configuredTokens(config, vocabulary);
  const ids = idsOf(vocabulary, addedTokens);
  const idOf = (name: 'cls_token' | 'sep_token') => ids.get(requiredToken(config, name)) as number;
  return {
    addedTokens,
    normalize: bertNormalizer({ cleanText: true, ...config.normalizer }),
    preTokenize: bertPreTokenizer,
    model: new WordPiece(vocabulary, {
      unknownToken: requiredToken(config, 'unk_token'),
      continuingPrefix: '##',
      maxWordCharacters: 100,
    }),
    template: bertTemplate(idOf('cls_token'), idOf('sep_token')),
    vocabulary: ids,
  };
}
