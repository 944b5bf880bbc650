import * as v from 'valibot';
import type { LayerShape, ModelSpec } from '../native/addon.js';
import type { Family } from './family.js';
import { readLayerShapes } from './layer-shapes.js';
import { checkSettings, invalidSetting, layerCount, refuseUnless, size, unsupportedSetting } from './settings.js';

/** Settings that shape a BERT encoder, with the defaults of transformers' BertConfig. */
const settings = v.object({
  vocab_size: size,
  hidden_size: size,
  num_hidden_layers: layerCount,
  num_attention_heads: size,
  intermediate_size: size,
  max_position_embeddings: v.optional(size, 512),
  type_vocab_size: v.optional(size, 2),
  layer_norm_eps: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1)), 1e-12),
  hidden_act: v.optional(v.picklist(['gelu', 'gelu_new', 'relu']), 'gelu'),
});

function readEncoder(config: Record<string, unknown>): Omit<ModelSpec, 'labels' | 'head'> {
  refuseUnless(config, 'hidden_act', settings.entries.hidden_act.wrapped.options);
  refuseUnless(config, 'position_embedding_type', ['absolute']);
  refuseUnless(config, 'is_decoder', [false]);
  refuseUnless(config, 'add_cross_attention', [false]);
  if (Object.keys(config.pruned_heads ?? {}).length > 0) {
    throw unsupportedSetting('pruned_heads', config.pruned_heads, 'heads_per_layer of espalier is');
  }
  const bert = checkSettings(settings, config);
  if (bert.hidden_size % bert.num_attention_heads !== 0) {
    throw invalidSetting('num_attention_heads', `does not divide hidden_size ${bert.hidden_size}`);
  }
  const full: LayerShape = { heads: bert.num_attention_heads, neurons: bert.intermediate_size };
  return {
    hiddenSize: bert.hidden_size,
    headSize: bert.hidden_size / bert.num_attention_heads,
    vocabularySize: bert.vocab_size,
    maxPositions: bert.max_position_embeddings,
    tokenTypes: bert.type_vocab_size,
    layerNormEpsilon: bert.layer_norm_eps,
    activation: bert.hidden_act,
    headActivation: 'tanh',
    positionPadding: -1,
    layers: readLayerShapes(config, bert.num_hidden_layers, full),
  };
}

const names: Record<string, string> = {
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
  classifier: 'classifier',
};

function tensorName(role: string): string {
  const match = /^(?:layers\.(\d+)\.)?(.*?)(\.weight|\.bias)?$/.exec(role) as RegExpExecArray;
  const [, layer, part = '', suffix = ''] = match;
  return `${layer === undefined ? '' : `encoder.layer.${layer}.`}${names[part]}${suffix}`;
}

export const bert: Family = {
  name: 'bert',
  architecture: 'BertForSequenceClassification',
  prefix: 'bert.',
  readEncoder,
  tensorName,
};
