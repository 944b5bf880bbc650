import { EspalierError } from '../native/errors.js';
import type { AddedToken } from './added-tokens.js';
import { AddedVocabulary, type NewToken } from './added-vocabulary.js';
import {
  type ConfiguredToken,
  plainToken,
  type SpecialToken,
  specialNames,
  standardTokens,
  textOf,
} from './special-tokens.js';
import type { TokenizerConfig } from './tokenizer-config.js';
import { missingToken } from './vocabulary.js';

/**
 * The added tokens that transformers makes of tokenizer.json's, if there is one, and of the configuration's: the tokens
 * that the latter lists, and then its special tokens, change how they are matched, and extend the vocabulary where they
 * are new.
 * @throws EspalierError ERR_TOKENIZER where a new token does not get the id that it is listed with, and without a
 * tokenizer.json where the vocabulary lacks a special token that has a name.
 */
export function configuredTokens(
  config: TokenizerConfig,
  vocabulary: ReadonlyMap<string, number>,
  filed?: readonly (NewToken & AddedToken)[],
): AddedToken[] {
  const filedTokens = new Map(filed?.map((token) => [token.content, token]));
  const listed = config.listed ?? new Map([...config.formerlyListed, ...byId(filed ?? [])]);
  const known = config.listed ? new Map([...listed.values()].map((token) => [token.content, token])) : filedTokens;
  const named = namedTokens(config, known, !filed);
  const specials = [...named.values(), ...config.unnamed.filter((token) => !named.has(textOf(token)))];
  const specialTexts = new Set(specials.map(textOf));
  const finished = (token: ConfiguredToken): NewToken => {
    const special = token.special || specialTexts.has(token.content);
    return { ...token, special, normalized: token.normalized ?? !special };
  };

  const tokens = new AddedVocabulary(vocabulary, filed ?? []);
  for (const [listedId, token] of [...listed].sort(([a], [b]) => a - b)) {
    if (tokens.isFiled({ ...token, normalized: token.normalized ?? !token.special })) continue;
    const id = tokens.add(finished(token));
    if (id !== listedId && !filedTokens.has(token.content)) {
      throw new EspalierError(
        'ERR_TOKENIZER',
        `the added token ${token.content} has the id ${listedId}, but must have ${id}`,
      );
    }
  }
  const missing = [...named.keys()].find((text) => !tokens.has(text) && !vocabulary.has(text));
  if (!filed && missing !== undefined) throw missingToken(missing);
  const unlisted = specials.filter((token) => typeof token !== 'string' || !tokens.has(token));
  for (const token of unlisted) tokens.add(finished(typeof token === 'string' ? plainToken(token, true) : token));
  return tokens.tokens();
}

const byId = <T extends AddedToken>(tokens: readonly T[]) => tokens.map((token) => [token.id, token] as const);

/**
 * The special tokens that have names, by their texts. `known`: how tokens are matched of which the files give the text
 * alone.
 */
function namedTokens(
  { kind = 'plain', named }: TokenizerConfig,
  known: ReadonlyMap<string, ConfiguredToken>,
  isMadeFromVocabulary: boolean,
): ReadonlyMap<string, SpecialToken> {
  const tokens = new Map<string, SpecialToken>();
  for (const name of specialNames) {
    const given = named[name];
    let token = given ? (known.get(textOf(given)) ?? given) : given === null ? undefined : standardTokens[kind][name];
    if (token === undefined || tokens.has(textOf(token))) continue;
    if (typeof token === 'string' && kind === 'roberta') {
      if (name === 'mask_token') token = { ...plainToken(token, true), lstrip: true };
      else if (isMadeFromVocabulary) token = { ...plainToken(token, true), normalized: true };
    }
    tokens.set(textOf(token), token);
  }
  return tokens;
}
