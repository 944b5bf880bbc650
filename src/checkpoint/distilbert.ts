import { readCommonSettings } from './encoder-settings.js';
import type { EncoderSpec, Family } from './family.js';

/** The rest is the same in every DistilBERT. */
function readEncoder(config: Record<string, unknown>): EncoderSpec {
  const common = readCommonSettings(config, {
    hiddenSize: 'dim',
    layers: 'n_layers',
    heads: 'n_heads',
    neurons: 'hidden_dim',
    activation: 'activation',
  });
  return { ...common, tokenTypes: 0, layerNormEpsilon: 1e-12, headActivation: 'relu', positionPadding: -1 };
}

export const distilbert: Family = {
  name: 'distilbert',
  architectures: { sequence: 'DistilBertForSequenceClassification', span: 'DistilBertForQuestionAnswering' },
  readEncoder,
  prefix: 'distilbert.',
  layers: 'transformer.layer.',
  encoderNames: {
    'embeddings.word': 'embeddings.word_embeddings.weight',
    'embeddings.position': 'embeddings.position_embeddings.weight',
    'embeddings.norm': 'embeddings.LayerNorm',
    'attention.query': 'attention.q_lin',
    'attention.key': 'attention.k_lin',
    'attention.value': 'attention.v_lin',
    'attention.output': 'attention.out_lin',
    'attention.norm': 'sa_layer_norm',
    'ffn.in': 'ffn.lin1',
    'ffn.out': 'ffn.lin2',
    'ffn.norm': 'output_layer_norm',
  },
  headNames: {
    sequence: { pooler: 'pre_classifier', classifier: 'classifier' },
    span: { classifier: 'qa_outputs' },
  },
  unusedNames: ['embeddings.position_ids'],
};
