import * as v from 'valibot';
import { bert } from './bert.js';
import type { EncoderSpec, Family } from './family.js';
import { checkSettings, invalidSetting } from './settings.js';

/** The default of transformers' RobertaConfig. */
const settings = v.object({ pad_token_id: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 1) });

/** A BERT encoder whose positions count from its padding's id on. */
function readEncoder(config: Record<string, unknown>): EncoderSpec {
  const encoder = bert.readEncoder(config);
  const { pad_token_id } = checkSettings(settings, config);
  if (pad_token_id + 1 >= encoder.maxPositions) {
    throw invalidSetting('pad_token_id', `leaves no position of ${encoder.maxPositions} to tokens`);
  }
  return { ...encoder, positionPadding: pad_token_id };
}

export const roberta: Family = {
  ...bert,
  name: 'roberta',
  architectures: { sequence: 'RobertaForSequenceClassification', span: 'RobertaForQuestionAnswering' },
  readEncoder,
  prefix: 'roberta.',
  headNames: {
    sequence: { pooler: 'classifier.dense', classifier: 'classifier.out_proj' },
    span: bert.headNames.span,
  },
};
