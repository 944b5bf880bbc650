import * as v from 'valibot';
import type { LayerShape } from '../native/addon.js';
import { checkSettings, invalidSetting, unsupportedSetting } from './settings.js';

const format = 1;

/** Settings of a pruned checkpoint, under `espalier` in config.json. */
export function layerSettings(layers: readonly LayerShape[]): Record<string, unknown> {
  return {
    format,
    heads_per_layer: layers.map(({ heads }) => heads),
    neurons_per_layer: layers.map(({ neurons }) => neurons),
  };
}

/** Units of every layer: as `espalier` in config.json says, otherwise all of them. */
export function readLayerShapes(config: Record<string, unknown>, layers: number, full: LayerShape): LayerShape[] {
  if (config.espalier === undefined) return Array.from({ length: layers }, () => ({ ...full }));
  const { espalier } = checkSettings(v.object({ espalier: v.looseObject({ format: v.number() }) }), config);
  if (espalier.format !== format) {
    throw unsupportedSetting('espalier.format', espalier.format, `this version reads ${format}: update espalier`);
  }
  const widths = (limit: number) => v.array(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(limit)));
  const pruned = checkSettings(
    v.object({
      espalier: v.object({ heads_per_layer: widths(full.heads), neurons_per_layer: widths(full.neurons) }),
    }),
    config,
  ).espalier;
  for (const [name, counts] of Object.entries(pruned)) {
    if (counts.length !== layers) {
      throw invalidSetting(`espalier.${name}`, `has ${counts.length} entries for ${layers} layers`);
    }
  }
  return pruned.heads_per_layer.map((heads, n) => ({ heads, neurons: pruned.neurons_per_layer[n] as number }));
}
