import { mean, median } from '../statistics.js';
import type { Curve } from './latency-cost.js';
import type { LatencyPoint } from './latency-profile.js';

/**
 * Kwon et al. 2022 (section 4.1, equation 5): some units cost as much as one, each further unit the same. The threshold
 * is the measured width from which on that fits the medians best, by least squares; none cost nothing.
 */
export function piecewiseLinearCurve(points: readonly LatencyPoint[]): Curve {
  const measured = points.map(({ units, samples }) => ({ units, seconds: median(samples) }));
  const widest = Math.max(0, ...measured.map(({ units }) => units));
  const fits = [1, ...measured.map(({ units }) => units)].map((threshold) => fitFrom(threshold, measured));
  const best = fits.reduce((least, fit) => (fit.error < least.error ? fit : least));
  const { threshold, base, slope } = best;
  const curve = [
    { units: 0, seconds: 0 },
    { units: 1, seconds: base },
    { units: threshold, seconds: base },
    { units: widest, seconds: base + slope * (widest - threshold) },
  ];
  return curve.filter(({ units }, i) => units <= widest && units > (curve[i - 1]?.units ?? -1));
}

/** Constant up to the threshold, then linear; neither falls below nothing. */
function fitFrom(
  threshold: number,
  measured: Curve,
): { threshold: number; base: number; slope: number; error: number } {
  const beyond = measured.map(({ units }) => Math.max(0, units - threshold));
  const seconds = measured.map((point) => point.seconds);
  const [meanBeyond, meanSeconds] = [mean(beyond), mean(seconds)];
  const variance = mean(beyond.map((value) => (value - meanBeyond) ** 2));
  const covariance = mean(beyond.map((value, i) => (value - meanBeyond) * ((seconds[i] as number) - meanSeconds)));
  const slope = variance > 0 ? Math.max(0, covariance / variance) : 0;
  const base = Math.max(0, meanSeconds - slope * meanBeyond);
  const error = mean(beyond.map((value, i) => (base + slope * value - (seconds[i] as number)) ** 2));
  return { threshold, base, slope, error };
}
