import { mean } from '../statistics.js';

/** Fraction of predictions that equal their label. */
export function accuracy(predictions: ArrayLike<number>, labels: ArrayLike<number>): number {
  let hits = 0;
  for (let i = 0; i < labels.length; i++) if (predictions[i] === labels[i]) hits++;
  return hits / labels.length;
}

/** Harmonic mean of precision and recall of the label `positive`; 0 where it is neither predicted nor true. */
export function f1(predictions: ArrayLike<number>, labels: ArrayLike<number>, positive: number): number {
  let hits = 0;
  let marked = 0;
  for (let i = 0; i < labels.length; i++) {
    const predicted = Number(predictions[i] === positive);
    const actual = Number(labels[i] === positive);
    hits += predicted & actual;
    marked += predicted + actual;
  }
  return marked === 0 ? 0 : (2 * hits) / marked;
}

/** Linear correlation; 0 where either side is constant and the correlation is not defined. */
export function pearson(x: ArrayLike<number>, y: ArrayLike<number>): number {
  const meanX = mean(x);
  const meanY = mean(y);
  let xx = 0;
  let yy = 0;
  let xy = 0;
  for (let i = 0; i < x.length; i++) {
    const dx = (x[i] as number) - meanX;
    const dy = (y[i] as number) - meanY;
    xx += dx * dx;
    yy += dy * dy;
    xy += dx * dy;
  }
  // A rounded mean need not be the value that all have.
  if (xx === 0 || yy === 0 || isConstant(x) || isConstant(y)) return 0;
  return xy / (Math.sqrt(xx) * Math.sqrt(yy));
}

const isConstant = (values: ArrayLike<number>): boolean => Array.from(values).every((value) => value === values[0]);

/** Correlation of the ranks, equal values sharing the mean of theirs. */
export function spearman(x: ArrayLike<number>, y: ArrayLike<number>): number {
  return pearson(averageRanks(x), averageRanks(y));
}

function averageRanks(values: ArrayLike<number>): Float64Array {
  const order = Array.from(values, (_, index) => index).sort((a, b) => (values[a] as number) - (values[b] as number));
  const ranks = new Float64Array(values.length);
  for (let first = 0; first < order.length; ) {
    let end = first + 1;
    while (end < order.length && values[order[end] as number] === values[order[first] as number]) end++;
    for (let i = first; i < end; i++) ranks[order[i] as number] = (first + end - 1) / 2;
    first = end;
  }
  return ranks;
}
