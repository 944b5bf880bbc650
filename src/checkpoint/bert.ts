import * as v from 'valibot';
import { readCommonSettings } from './encoder-settings.js';
import type { EncoderSpec, Family } from './family.js';
import { checkSettings, size } from './settings.js';

/** With the defaults of transformers' BertConfig. */
const settings = v.object({
  type_vocab_size: v.optional(size, 2),
  layer_norm_eps: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1)), 1e-12),
});

function readEncoder(config: Record<string, unknown>): EncoderSpec {
  const common = readCommonSettings(config, {
    hiddenSize: 'hidden_size',
    layers: 'num_hidden_layers',
    heads: 'num_attention_heads',
    neurons: 'intermediate_size',
    activation: 'hidden_act',
  });
  const { type_vocab_size, layer_norm_eps } = checkSettings(settings, config);
  return {
    ...common,
    tokenTypes: type_vocab_size,
    layerNormEpsilon: layer_norm_eps,
    headActivation: 'tanh',
    positionPadding: -1,
  };
}

export const bert: Family = {
  name: 'bert',
  architectures: { sequence: 'BertForSequenceClassification', span: 'BertForQuestionAnswering' },
  readEncoder,
  prefix: 'bert.',
  layers: 'encoder.layer.',
  encoderNames: {
    'embeddings.word': 'embeddings.word_embeddings.weight',
    'embeddings.position': 'embeddings.position_embeddings.weight',
    'embeddings.tokenType': 'embeddings.token_type_embeddings.weight',
    'embeddings.norm': 'embeddings.LayerNorm',
    'attention.query': 'attention.self.query',
    'attention.key': 'attention.self.key',
    'attention.value': 'attention.self.value',
    'attention.output': 'attention.output.dense',
    'attention.norm': 'attention.output.LayerNorm',
    'ffn.in': 'intermediate.dense',
    'ffn.out': 'output.dense',
    'ffn.norm': 'output.LayerNorm',
    pooler: 'pooler.dense',
  },
  headNames: { sequence: { classifier: 'classifier' }, span: { classifier: 'qa_outputs' } },
  // Only a head that reads the pooler has a role for it.
  unusedNames: ['embeddings.position_ids', 'embeddings.token_type_ids', 'pooler.dense.weight', 'pooler.dense.bias'],
};
