import { packSequences } from '../data/pack.js';
import { Random } from '../data/random.js';
import type { KeptUnits, LayerShape, ModelSpec, PackedBatch, Sublayer } from '../native/addon.js';
import type { CallOptions } from '../native/call.js';
import { environmentOf } from '../native/environment.js';
import type { Model } from '../native/model.js';
import { sequences } from '../prune/sequences.js';
import { unitKindOf } from '../prune/units.js';
import { version } from '../version.js';
import { checkDropsNone } from './latency-cost.js';
import type { LatencyProfile, LatencyTable } from './latency-profile.js';

export interface MeasureOptions extends CallOptions {
  /** Times that every width is measured. */
  rounds: number;
  onWidths?: ((done: number, total: number) => void) | undefined;
  /** Called after every round, with all that has been measured so far. */
  onRound?: ((profile: LatencyProfile) => Promise<void>) | undefined;
}

/** FFN widths to measure, beside the narrowest that a kernel computes at once. */
const ffnWidths = 16;
const narrowest = 16;
/** Sequences that a model computes before its time is taken. */
const warmUp = 16;

/**
 * A profile of nothing yet. Throws ERR_UNSUPPORTED for a model that drops tokens.
 *
 * @param lengths tokens of the batch's sequences
 */
export function emptyProfile({ spec, engine }: Model, lengths: readonly number[]): LatencyProfile {
  checkDropsNone(spec);
  return {
    command: 'profile',
    version,
    environment: environmentOf(engine),
    device: engine.device,
    threads: engine.threads,
    precision: engine.precision,
    hiddenSize: spec.hiddenSize,
    headSize: spec.headSize,
    layers: spec.layers.map(({ heads, neurons }) => ({ heads, neurons })),
    head: spec.head,
    lengths: [...lengths],
    rest: { samples: [] },
    whole: { samples: [] },
    inner: widthsOf(spec.layers.slice(0, hasOwnLast(spec) ? -1 : undefined)),
    ...(hasOwnLast(spec) && { last: widthsOf(spec.layers.slice(-1)) }),
  };
}

/**
 * Measures what attention of every number of heads and an FFN of several widths take more than none, in whole forward
 * passes of models in which every layer (or only the last) has that one sub-layer and nothing else. Round by round all
 * widths take turns, so that a disturbance of the machine does not hit one of them alone.
 *
 * @param profile empty, or an unfinished one of the same model, batch and machine: it grows by what is measured
 * @throws EspalierError ERR_CANCELLED, ERR_OUT_OF_MEMORY
 */
export async function measureLatencies(
  model: Model,
  profile: LatencyProfile,
  { rounds, signal, onWidths, onRound }: MeasureOptions,
): Promise<LatencyProfile> {
  const { layers } = model.spec;
  const batch = randomBatch(model.spec, profile.lengths);
  const time = (kept: KeptUnits) => timeOf(model, kept, batch, signal);
  const lastLayer = layers.length - 1;
  const points = [
    ...pointsOf(profile.inner, (layer) => profile.last === undefined || layer < lastLayer),
    ...(profile.last === undefined ? [] : pointsOf(profile.last, (layer) => layer === lastLayer)),
  ];
  for (let round = profile.rest.samples.length; round < rounds; round++) {
    const rest = await time(unitsOf(layers, () => 0));
    const whole = await time(unitsOf(layers, (layer, sublayer) => widthOf(layers[layer] as LayerShape, sublayer)));
    const found: number[] = [];
    for (const { sublayer, units, where } of points) {
      const holds = (layer: number) => where(layer) && widthOf(layers[layer] as LayerShape, sublayer) >= units;
      const seconds = await time(unitsOf(layers, (layer, other) => (other === sublayer && holds(layer) ? units : 0)));
      found.push((seconds - rest) / [...layers.keys()].filter(holds).length);
      onWidths?.(round * points.length + found.length, rounds * points.length);
    }
    // All at once: a round that is interrupted leaves nothing behind.
    profile.rest.samples.push(rest);
    profile.whole.samples.push(whole);
    for (const [index, { samples }] of points.entries()) samples.push(found[index] as number);
    await onRound?.(profile);
  }
  return profile;
}

/** The last layer of a model whose head reads first tokens computes little but its keys and values for the others. */
const hasOwnLast = ({ head, layers }: ModelSpec): boolean => head === 'sequence' && layers.length > 0;

const widthOf = (layer: LayerShape, sublayer: Sublayer): number => layer[unitKindOf(sublayer)];

function widthsOf(layers: readonly LayerShape[]): LatencyTable {
  const heads = Math.max(0, ...layers.map((layer) => layer.heads));
  const neurons = Math.max(0, ...layers.map((layer) => layer.neurons));
  const widths = Array.from({ length: ffnWidths }, (_, i) => Math.round(((i + 1) * neurons) / ffnWidths));
  const measured = (units: number) => ({ units, samples: [] });
  return {
    attention: Array.from({ length: heads }, (_, i) => measured(i + 1)),
    ffn: [...new Set([Math.min(narrowest, neurons), ...widths])].filter((units) => units > 0).map(measured),
  };
}

function pointsOf(table: LatencyTable, where: (layer: number) => boolean) {
  return (['attention', 'ffn'] as const).flatMap((sublayer) =>
    table[sublayer].map(({ units, samples }) => ({ sublayer, units, samples, where })),
  );
}

/** The first so many units of every sub-layer. */
export function unitsOf(
  layers: readonly LayerShape[],
  width: (layer: number, sublayer: Sublayer) => number,
): KeptUnits {
  const first = (count: number) => Array.from({ length: count }, (_, unit) => unit);
  return {
    heads: layers.map((_, layer) => first(width(layer, 'attention'))),
    neurons: layers.map((_, layer) => first(width(layer, 'ffn'))),
  };
}

async function timeOf(
  model: Model,
  kept: KeptUnits,
  batch: PackedBatch,
  signal: AbortSignal | undefined,
): Promise<number> {
  using smaller = await model.select(kept, 'inference');
  await smaller.forward(sequences(batch, 0, Math.min(warmUp, batch.offsets.length - 1)), { signal });
  const start = performance.now();
  await smaller.forward(batch, { signal });
  return (performance.now() - start) / 1000;
}

/** Sequences of random tokens: which they are does not matter. */
export function randomBatch(
  { vocabularySize }: Pick<ModelSpec, 'vocabularySize'>,
  lengths: readonly number[],
): PackedBatch {
  const random = new Random(0);
  return packSequences(
    lengths.map((length) => ({
      ids: Array.from({ length }, () => random.below(vocabularySize)),
      typeIds: new Array(length).fill(0),
    })),
  );
}
