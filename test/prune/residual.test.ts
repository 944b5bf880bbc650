import t from 'tap';
import { squaredDistance } from '../../src/prune/residual.js';
import { randomNumbers } from './random.js';

t.test('the distance from the normal equations is the distance itself', (t) => {
  const random = randomNumbers(1);
  const [rows, units] = [20, 4];
  const columns = Array.from({ length: units }, () => Array.from({ length: rows }, random));
  const target = Array.from({ length: rows }, random);
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, row) => sum + value * (b[row] as number), 0);
  const scales = Float64Array.from({ length: units }, random);
  const left = target.map((value, row) =>
    columns.reduce((s, c, u) => s - (c[row] as number) * (scales[u] as number), value),
  );
  for (const ones of [false, true]) {
    const unknowns = ones ? [...columns, Array(rows).fill(1)] : columns;
    const matrix = Float64Array.from(unknowns.flatMap((a) => unknowns.map((b) => dot(a, b))));
    const rhs = Float64Array.from(
      unknowns.map((a) => dot(a, target) - unknowns.reduce((sum, b) => sum + dot(a, b), 0)),
    );
    const distance = squaredDistance({ matrix, rhs }, scales, dot(target, target));
    t.ok(Math.abs(distance - dot(left, left)) < 1e-12, ones ? 'with a column of ones' : 'without');
  }
  t.end();
});
