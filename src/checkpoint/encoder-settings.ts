import * as v from 'valibot';
import type { LayerShape } from '../native/addon.js';
import type { EncoderSpec } from './family.js';
import { readLayerShapes } from './layer-shapes.js';
import { checkSettings, invalidSetting, layerCount, refuseUnless, size, unsupportedSetting } from './settings.js';
import { readTokenPruning } from './token-pruning.js';

const activations = ['gelu', 'gelu_new', 'relu'] as const;

/** What a family calls the settings that all families have. */
export interface SettingNames {
  hiddenSize: string;
  layers: string;
  heads: string;
  neurons: string;
  activation: string;
}

/**
 * The part of an encoder that every family describes alike, if by other names. Throws ERR_UNSUPPORTED for what would
 * make it another kind of model.
 */
export function readCommonSettings(
  config: Record<string, unknown>,
  names: SettingNames,
): Omit<EncoderSpec, 'tokenTypes' | 'layerNormEpsilon' | 'headActivation' | 'positionPadding'> {
  refuseUnless(config, names.activation, activations);
  refuseUnless(config, 'position_embedding_type', ['absolute']);
  refuseUnless(config, 'is_decoder', [false]);
  refuseUnless(config, 'add_cross_attention', [false]);
  if (Object.keys(config.pruned_heads ?? {}).length > 0) {
    throw unsupportedSetting('pruned_heads', config.pruned_heads, 'heads_per_layer of espalier is');
  }
  const read = <Schema extends v.GenericSchema>(name: string, schema: Schema): v.InferOutput<Schema> =>
    checkSettings(v.object({ [name]: schema }), config)[name] as v.InferOutput<Schema>;
  const hiddenSize = read(names.hiddenSize, size);
  const full: LayerShape = { heads: read(names.heads, size), neurons: read(names.neurons, size) };
  if (hiddenSize % full.heads !== 0) {
    throw invalidSetting(names.heads, `does not divide ${names.hiddenSize} ${hiddenSize}`);
  }
  const layers = readLayerShapes(config, read(names.layers, layerCount), full);
  const tokenPruning = readTokenPruning(config, layers.length);
  return {
    hiddenSize,
    headSize: hiddenSize / full.heads,
    vocabularySize: read('vocab_size', size),
    maxPositions: read('max_position_embeddings', v.optional(size, 512)),
    activation: read(names.activation, v.optional(v.picklist(activations), 'gelu')),
    layers,
    ...(tokenPruning && { tokenPruning }),
  };
}
