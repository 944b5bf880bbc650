import * as v from 'valibot';
import type { TokenPruning } from '../native/addon.js';
import { checkSettings, invalidSetting, largestFloat, size } from './settings.js';

const settings = v.object({
  espalier: v.object({
    token_thresholds: v.optional(v.array(v.pipe(v.number(), v.minValue(0), v.maxValue(largestFloat)))),
    token_keep_rates: v.optional(v.array(v.pipe(v.number(), v.gtValue(0), v.maxValue(1)))),
    token_padded_length: v.optional(size),
  }),
});

/** Settings of a checkpoint that drops tokens, under `espalier` in config.json; undefined where they are not to be. */
export function tokenSettings(pruning: TokenPruning | undefined): Record<string, unknown> {
  return {
    token_thresholds: pruning?.rule === 'threshold' ? pruning.values : undefined,
    token_keep_rates: pruning?.rule === 'keepRate' ? pruning.values : undefined,
    token_padded_length: pruning?.paddedLength,
  };
}

/** How the checkpoint drops tokens, if it does. Throws ERR_CHECKPOINT for broken settings. */
export function readTokenPruning(config: Record<string, unknown>, layers: number): TokenPruning | undefined {
  if (config.espalier === undefined) return undefined;
  const { espalier } = checkSettings(settings, config);
  const { token_thresholds: thresholds, token_keep_rates: keepRates, token_padded_length: paddedLength } = espalier;
  if (thresholds && keepRates) {
    throw invalidSetting('espalier.token_keep_rates', 'cannot stand beside token_thresholds');
  }
  const values = thresholds ?? keepRates;
  if (values === undefined) return undefined;
  if (values.length !== layers) {
    const name = thresholds ? 'token_thresholds' : 'token_keep_rates';
    throw invalidSetting(`espalier.${name}`, `has ${values.length} entries for ${layers} layers`);
  }
  return { rule: thresholds ? 'threshold' : 'keepRate', values, ...(paddedLength && { paddedLength }) };
}
