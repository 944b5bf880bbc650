import type { KeptUnits, LayerShape, Mask, Mode } from '../native/addon.js';
import type { Model } from '../native/model.js';
import { fullMask, type UnitKind, unitRanges } from './units.js';

/** Indices inside each layer of the units a mask keeps. */
export function keptUnits(mask: Mask, layers: readonly LayerShape[]): KeptUnits {
  return { heads: indices(mask, layers, 'heads', true), neurons: indices(mask, layers, 'neurons', true) };
}

/** Step 6, compaction: the smaller model in which the masked units do not exist. */
export const compact = (model: Model, mask: Mask, mode: Mode): Promise<Model> =>
  model.select(keptUnits(mask, model.spec.layers), mode);

/** A model of the same units, in a mode of its own; weights are shared until they are replaced. */
export const copyOf = (model: Model, mode: Mode): Promise<Model> => compact(model, fullMask(model.spec.layers), mode);

/** The model of the neurons that a mask takes away, and of no heads. */
export function droppedNeurons(model: Model, mask: Mask): Promise<Model> {
  const { layers } = model.spec;
  return model.select({ heads: layers.map(() => []), neurons: indices(mask, layers, 'neurons', false) }, 'inference');
}

function indices(mask: Mask, layers: readonly LayerShape[], kind: UnitKind, kept: boolean): number[][] {
  return unitRanges(layers, kind).map(({ start, end }) => {
    const values = [...mask[kind].subarray(start, end)];
    return [...values.keys()].filter((unit) => (values[unit] !== 0) === kept);
  });
}
