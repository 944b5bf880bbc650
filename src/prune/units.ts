import type { LayerShape, Mask, Sublayer } from '../native/addon.js';

/** The two kinds of units that are pruned. */
export type UnitKind = 'heads' | 'neurons';
export const unitKindOf = (sublayer: Sublayer): UnitKind => (sublayer === 'attention' ? 'heads' : 'neurons');
export const unitKinds = ['heads', 'neurons'] as const;

/** One value a head and one a neuron, layers one after another, as in a Mask. */
export interface UnitValues {
  heads: Float64Array;
  neurons: Float64Array;
}

/** Where one layer's units lie in such a list. */
export interface UnitRange {
  start: number;
  end: number;
}

export function unitRanges(layers: readonly LayerShape[], kind: UnitKind): UnitRange[] {
  let end = 0;
  return layers.map((layer) => {
    const start = end;
    end += layer[kind];
    return { start, end };
  });
}

/** Units of one kind in all layers together. */
export const countUnits = (layers: readonly LayerShape[], kind: UnitKind): number =>
  layers.reduce((sum, layer) => sum + layer[kind], 0);

/** The mask that keeps everything. */
export function fullMask(layers: readonly LayerShape[]): Mask {
  const ones = (kind: UnitKind) => new Float32Array(countUnits(layers, kind)).fill(1);
  return { heads: ones('heads'), neurons: ones('neurons') };
}
