import type { LossKind, ModelSpec, PackedBatch, TokenPruning, TracedTokens } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import type { Model } from '../native/model.js';
import type { OnProgress } from '../progress.js';
import { divergence } from './divergence.js';
import { thresholds } from './thresholds.js';
import { tokenCounts, tokenSavings } from './token-counts.js';

export interface CalibrationOptions {
  loss: LossKind;
  /** The part of the multiply-accumulates to keep at most. */
  macs: number;
  /** What importance is a mean over; 0: the sequence's own length. */
  paddedLength: number;
  signal?: AbortSignal | undefined;
  /** In hundredths of the work that is to be saved. */
  onProgress?: OnProgress | undefined;
}

/** Part of the multiply-accumulates that one raise of a threshold is to save. */
const raise = 0.05;
/** Of the first exchange, and what it is halved down to. */
const firstExchange = 0.04;
const lastExchange = 0.01;
/** How far below the budget is near enough. */
const tolerance = 0.005;
const mostExchanges = 8;
/** A change that saves less than this part of what it should is of no use. */
const leastOfWanted = 0.2;
/** Exchanges that are tried of those that look best. */
const candidates = 3;

/** Thresholds with what they do to the calibration sequences. */
interface Trial {
  values: number[];
  macs: number;
  divergence: number;
  traced: TracedTokens;
  keptPerLayer: number[];
}

/**
 * Thresholds that leave so much of the work, found without training and without labels: whichever layer's threshold
 * moves the predictions least for the work that it saves is raised until the budget is met, then layers exchange work as
 * long as that brings the predictions nearer to what they were.
 *
 * @throws EspalierError ERR_TARGET where the budget cannot be met, ERR_CANCELLED
 */
export async function calibrateThresholds(
  model: Model,
  batch: PackedBatch,
  options: CalibrationOptions,
): Promise<TokenPruning> {
  const search = await ThresholdSearch.begin(model, batch, options);
  await search.raise();
  await search.exchange();
  return thresholds(search.values, options.paddedLength);
}

class ThresholdSearch {
  private constructor(
    private readonly model: Model,
    private readonly batch: PackedBatch,
    private readonly options: CalibrationOptions,
    private readonly dense: Float32Array,
    private trial: Trial,
  ) {}

  static async begin(model: Model, batch: PackedBatch, options: CalibrationOptions): Promise<ThresholdSearch> {
    const values = model.spec.layers.map(() => 0);
    const pruning = thresholds(values, options.paddedLength);
    const traced = await model.traceTokens(batch, { pruning, signal: options.signal });
    const keptPerLayer = values.map(() => 1);
    return new ThresholdSearch(model, batch, options, traced.logits, {
      values,
      macs: 1,
      divergence: 0,
      traced,
      keptPerLayer,
    });
  }

  get values(): number[] {
    return this.trial.values;
  }

  /** Raises one threshold at a time until the budget is met. */
  async raise(): Promise<void> {
    const { macs } = this.options;
    while (this.trial.macs > macs) {
      const wanted = Math.min(raise, this.trial.macs - macs + tolerance / 2);
      let best: Trial | undefined;
      for (const layer of this.trial.values.keys()) {
        const changed = await this.#tryChange(layer, wanted);
        if (changed && (best === undefined || this.#cost(changed) < this.#cost(best))) best = changed;
      }
      if (!best)
        throw new EspalierError(
          'ERR_TARGET',
          `no more than ${(1 - this.trial.macs).toFixed(3)} of the multiply-accumulates can be saved by dropping tokens (ask for more than ${macs})`,
        );
      this.trial = best;
      this.#report();
    }
  }

  #report(): void {
    const { macs: left } = this.trial;
    const done = Math.min(100, Math.round((100 * (1 - left)) / (1 - this.options.macs)));
    this.options.onProgress?.({
      stage: 'calibrate',
      done,
      total: 100,
      note: `${(100 * left).toFixed(1)} % of the MACs left`,
    });
  }

  /** Lowers one threshold and raises another as long as that helps. */
  async exchange(): Promise<void> {
    let size = firstExchange;
    for (let tries = 0; tries < mostExchanges && size >= lastExchange; tries++) {
      if (!(await this.#exchangeOnce(size))) size /= 2;
    }
  }

  async #exchangeOnce(size: number): Promise<boolean> {
    const [raised, lowered]: [Trial[], Trial[]] = [[], []];
    for (const layer of this.trial.values.keys()) {
      const [more, less] = [await this.#tryChange(layer, size), await this.#tryChange(layer, -size)];
      if (more) raised.push(more);
      if (less) lowered.push(less);
    }
    const pairs = raised.flatMap((more) =>
      lowered
        .filter((less) => layerOf(this.trial, more) !== layerOf(this.trial, less))
        .map((less) => ({ more, less, gain: this.#cost(less) - this.#cost(more) })),
    );
    const promising = pairs.filter(({ gain }) => gain > 0).sort((a, b) => b.gain - a.gain);
    for (const { more, less } of promising.slice(0, candidates)) {
      const [up, down] = [layerOf(this.trial, more), layerOf(this.trial, less)];
      const values = this.trial.values.with(up, more.values[up] as number).with(down, less.values[down] as number);
      const met = await this.#withinBudget(await this.#try(values), up);
      if (met && met.divergence < this.trial.divergence) {
        this.trial = met;
        return true;
      }
    }
    return false;
  }

  /** The trial with one threshold raised or lowered to where the budget is just met. */
  async #withinBudget(trial: Trial, layer: number): Promise<Trial | undefined> {
    const { macs } = this.options;
    let now = trial;
    for (let attempts = 0; attempts < 2 && !isNear(now.macs, macs); attempts++) {
      const value = changedThreshold(this.model.spec, now, this.batch, layer, now.macs - macs + tolerance / 2);
      if (value === undefined) return undefined;
      now = await this.#try(now.values.with(layer, value));
    }
    return isNear(now.macs, macs) ? now : undefined;
  }

  /** One layer's threshold changed so that about `macs` more are saved; undefined where that comes to little. */
  async #tryChange(layer: number, macs: number): Promise<Trial | undefined> {
    const value = changedThreshold(this.model.spec, this.trial, this.batch, layer, macs);
    if (value === undefined || value === this.trial.values[layer]) return undefined;
    const changed = await this.#try(this.trial.values.with(layer, value));
    const saved = this.trial.macs - changed.macs;
    return saved / macs > leastOfWanted ? changed : undefined;
  }

  /** What a change costs, or brings back, for the work that it saves. */
  #cost(changed: Trial): number {
    return (changed.divergence - this.trial.divergence) / (this.trial.macs - changed.macs);
  }

  async #try(values: number[]): Promise<Trial> {
    const { model, batch, dense, options } = this;
    const pruning = thresholds(values, options.paddedLength);
    const traced = await model.traceTokens(batch, { pruning, signal: options.signal });
    const savings = tokenSavings(model.spec, tokenCounts(traced, batch, values.length));
    return { values, traced, ...savings, divergence: divergence(dense, traced.logits, options.loss, batch) };
  }
}

const isNear = (left: number, macs: number): boolean => left <= macs && left > macs - 2 * tolerance;

/** The layer whose threshold differs. */
const layerOf = (before: Trial, after: Trial): number =>
  before.values.findIndex((value, layer) => value !== after.values[layer]);

/**
 * The threshold of a layer with which about `macs` more of the multiply-accumulates are saved, or brought back where that
 * is negative; undefined where the layer has no tokens for it.
 */
function changedThreshold(
  spec: ModelSpec,
  { traced, values, keptPerLayer }: Trial,
  { ids, offsets }: PackedBatch,
  layer: number,
  macs: number,
): number | undefined {
  const now = values[layer] as number;
  const firsts = new Set(offsets);
  const own = traced.importance.subarray(layer * ids.length, (layer + 1) * ids.length);
  const atStake = own.filter((importance, token) => {
    const arrived = (traced.depths[token] as number) >= layer && !firsts.has(token) && importance > 0;
    return arrived && (macs > 0 ? importance >= now : importance < now);
  });
  atStake.sort((a, b) => (macs > 0 ? a - b : b - a));
  const whole = ids.length * spec.layers.reduce((sum, _, l) => sum + attentionWork(spec, l) + ffnWork(spec, l), 0);
  const count = Math.max(1, Math.round((Math.abs(macs) * whole) / workBehind(spec, keptPerLayer, layer)));
  if (atStake.length === 0) return undefined;
  // Another one than the first's: those that are as important go or come together.
  const value = atStake.subarray(count).find((importance) => importance !== atStake[0]);
  return value ?? (macs > 0 ? undefined : 0);
}

/** Work on a token after a layer's attention, for as long as it is likely to be there, next to that on all layers. */
function workBehind(spec: ModelSpec, keptPerLayer: readonly number[], layer: number): number {
  const kept = Math.max(keptPerLayer[layer] as number, 1e-6);
  return spec.layers.reduce((sum, _, l) => {
    if (l < layer) return sum;
    if (l === layer) return ffnWork(spec, l);
    const before = (keptPerLayer[l - 1] as number) / kept;
    return sum + before * attentionWork(spec, l) + ((keptPerLayer[l] as number) / kept) * ffnWork(spec, l);
  }, 0);
}

const attentionWork = ({ layers, headSize, hiddenSize }: ModelSpec, layer: number): number =>
  4 * (layers[layer]?.heads ?? 0) * headSize * hiddenSize;
const ffnWork = ({ layers, hiddenSize }: ModelSpec, layer: number): number =>
  2 * (layers[layer]?.neurons ?? 0) * hiddenSize;
