import t from 'tap';
import { piecewiseLinearCurve } from '../../src/latency/piecewise-linear.js';

const points = (seconds: number[]) =>
  seconds.map((value, i) => ({ units: i + 1, samples: [value, value, 100 + value] }));

t.test('flat up to a threshold, then linear: found again from its own points', async (t) => {
  t.strictSame(piecewiseLinearCurve(points([5, 5, 5, 7, 9, 11])), [
    { units: 0, seconds: 0 },
    { units: 1, seconds: 5 },
    { units: 3, seconds: 5 },
    { units: 6, seconds: 11 },
  ]);
});

t.test('linear from the first unit on, and flat throughout', async (t) => {
  t.strictSame(piecewiseLinearCurve(points([2, 3, 4])), [
    { units: 0, seconds: 0 },
    { units: 1, seconds: 2 },
    { units: 3, seconds: 4 },
  ]);
  t.strictSame(piecewiseLinearCurve(points([4, 4, 4])), [
    { units: 0, seconds: 0 },
    { units: 1, seconds: 4 },
    { units: 3, seconds: 4 },
  ]);
});

t.test('noise neither bends the curve down nor makes it cheaper than nothing', async (t) => {
  for (const seconds of [[3, 2, 1], [-3, -2, -1], [-1, 0.5, -0.5, 1.5], [7], []]) {
    const curve = piecewiseLinearCurve(points(seconds));
    for (const [i, point] of curve.entries()) {
      t.ok(point.seconds >= (curve[i - 1]?.seconds ?? 0), `${JSON.stringify(seconds)} at ${point.units}`);
      t.ok(point.units > (curve[i - 1]?.units ?? -1));
    }
    t.equal(curve.at(-1)?.units, seconds.length);
  }
});
