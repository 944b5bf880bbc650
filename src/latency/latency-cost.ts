import type { LayerShape, ModelSpec, Sublayer } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import type { CostModel } from '../prune/cost.js';
import { median } from '../statistics.js';
import type { LatencyPoint, LatencyProfile, LatencyTable } from './latency-profile.js';

/** Seconds by the units kept, ascending from none; in between they are interpolated. */
export type Curve = readonly { units: number; seconds: number }[];

/** A profile's seconds as what pruning may spend. */
export class LatencyCost implements CostModel {
  private readonly inner: Curves;
  private readonly last: Curves;
  /** Of a model of no units. */
  private readonly rest: number;

  /**
   * Throws ERR_OPTION where the profile is of models of another size.
   *
   * @param curveOf what is made of the widths that were measured
   */
  constructor(
    profile: LatencyProfile,
    private readonly spec: Pick<ModelSpec, 'hiddenSize' | 'headSize' | 'layers' | 'head' | 'tokenPruning'>,
    curveOf: (points: readonly LatencyPoint[]) => Curve = measuredCurve,
  ) {
    checkDropsNone(spec);
    checkBelongs(profile, spec);
    const curvesOf = ({ attention, ffn }: LatencyTable) => ({ attention: curveOf(attention), ffn: curveOf(ffn) });
    this.rest = median(profile.rest.samples);
    this.inner = curvesOf(profile.inner);
    this.last = profile.last === undefined ? this.inner : curvesOf(profile.last);
  }

  of(layer: number, sublayer: Sublayer, units: number): number {
    return secondsOf((layer === this.spec.layers.length - 1 ? this.last : this.inner)[sublayer], units);
  }

  /** Throws ERR_TARGET where what cannot be pruned takes longer than that. */
  budget(keep: number): number {
    const left = keep * this.whole(this.spec.layers) - this.rest;
    if (left >= 0) return left;
    const least = this.rest / this.whole(this.spec.layers);
    throw new EspalierError(
      'ERR_TARGET',
      `${keep} of the latency cannot be reached: embeddings, normalisation and head take ${least.toFixed(2)} (keep more)`,
    );
  }

  /** Predicted seconds of a model of these layers. */
  whole(layers: readonly LayerShape[]): number {
    return layers.reduce(
      (sum, { heads, neurons }, layer) => sum + this.of(layer, 'attention', heads) + this.of(layer, 'ffn', neurons),
      this.rest,
    );
  }
}

type Curves = Record<Sublayer, Curve>;

/** The medians; a wider sub-layer never counts as faster than a narrower one. */
function measuredCurve(points: readonly LatencyPoint[]): Curve {
  const curve = [{ units: 0, seconds: 0 }];
  for (const { units, samples } of points.toSorted((a, b) => a.units - b.units)) {
    curve.push({ units, seconds: Math.max((curve.at(-1) as { seconds: number }).seconds, median(samples)) });
  }
  return curve;
}

function secondsOf(curve: Curve, units: number): number {
  const above = curve.findIndex((point) => point.units >= units);
  const to = curve[above === -1 ? curve.length - 1 : above] as Curve[number];
  const from = curve[curve.indexOf(to) - 1];
  if (from === undefined || to.units === units) return to.seconds;
  return from.seconds + ((units - from.units) / (to.units - from.units)) * (to.seconds - from.seconds);
}

/** What is dropped from one sub-layer to the next is not in the times of each by itself. Throws ERR_UNSUPPORTED. */
export function checkDropsNone({ tokenPruning }: Pick<ModelSpec, 'tokenPruning'>): void {
  if (!tokenPruning) return;
  throw new EspalierError(
    'ERR_UNSUPPORTED',
    'the latency of a model that drops tokens is not that of its sub-layers (prune it first, then make it drop tokens)',
  );
}

function checkBelongs(profile: LatencyProfile, spec: ConstructorParameters<typeof LatencyCost>[1]): void {
  const { inner, last = inner } = profile;
  const widest = (points: readonly LatencyPoint[]) => Math.max(0, ...points.map(({ units }) => units));
  const fits =
    profile.hiddenSize === spec.hiddenSize &&
    profile.headSize === spec.headSize &&
    profile.head === spec.head &&
    profile.layers.length === spec.layers.length &&
    spec.layers.every(({ heads, neurons }, layer) => {
      const table = layer === spec.layers.length - 1 ? last : inner;
      return heads <= widest(table.attention) && neurons <= widest(table.ffn);
    }) &&
    profile.rest.samples.length > 0;
  if (!fits) {
    throw new EspalierError(
      'ERR_OPTION',
      'the latency profile is of a model of another size, or unfinished (make one of this checkpoint with espalier profile)',
    );
  }
}
