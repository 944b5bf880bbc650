import t from 'tap';
import type { LayerShape, Mask } from '../../src/native/addon.js';
import type { MiniBatchGradients } from '../../src/prune/fisher.js';
import { rearrange } from '../../src/prune/rearrange.js';
import { hasShared } from '../support/paths.js';
import { randomNumbers } from './random.js';
import { maskOf, readReference } from './reference.js';

/** The paper's procedure, the norm of every candidate set computed from scratch. Returns the units left unmasked. */
function rearrangedByDefinition(gradients: readonly (readonly number[])[], units: number, kept: number): number[] {
  const norm = (set: readonly number[]) =>
    gradients.reduce((sum, row) => sum + set.reduce((s, unit) => s + (row[unit] as number), 0) ** 2, 0);
  const order = Array.from({ length: units }, (_, unit) => unit).sort((a, b) => norm([a]) - norm([b]));
  let masked = order.slice(0, units - kept);
  for (const unit of masked.length === 0 ? [] : order.slice(units - kept)) {
    const candidates = [...masked, unit];
    const left = candidates.map((out) => candidates.filter((other) => other !== out));
    masked = left.reduce((best, set) => (norm(set) < norm(best) ? set : best));
  }
  return order.filter((unit) => !masked.includes(unit)).sort((a, b) => a - b);
}

t.test('each layer is rearranged as the definition says, with as many units kept', async (t) => {
  for (let seed = 0; seed < 40; seed++) {
    const random = randomNumbers(seed);
    const batches = 1 + Math.floor(random() * 6);
    const layers: LayerShape[] = Array.from({ length: 3 }, () => ({
      heads: Math.floor(random() * 5),
      neurons: Math.floor(random() * 14),
    }));
    const total = (kind: 'heads' | 'neurons') => layers.reduce((sum, layer) => sum + layer[kind], 0);
    const normal = () => random() + random() + random() - 1.5;
    const draw = (length: number) => Float32Array.from({ length }, normal);
    const gradients: MiniBatchGradients = {
      batches,
      heads: draw(batches * total('heads')),
      neurons: draw(batches * total('neurons')),
    };
    const draw01 = (length: number) => Float32Array.from({ length }, () => (random() < 0.6 ? 1 : 0));
    const mask: Mask = { heads: draw01(total('heads')), neurons: draw01(total('neurons')) };
    const result = await rearrange(mask, gradients, layers);
    for (const kind of ['heads', 'neurons'] as const) {
      let start = 0;
      for (const layer of layers) {
        const end = start + layer[kind];
        const rows = Array.from({ length: batches }, (_, row) =>
          [...gradients[kind].subarray(row * total(kind), (row + 1) * total(kind))].slice(start, end),
        );
        const kept = mask[kind].subarray(start, end).reduce((sum, value) => sum + value, 0);
        const got = [...result[kind].subarray(start, end)].flatMap((value, unit) => (value === 1 ? [unit] : []));
        t.same(got, rearrangedByDefinition(rows, layer[kind], kept), `case ${seed}, ${kind}`);
        start = end;
      }
    }
  }
});

t.test('units whose gradients cancel are masked together, though each matters more than the one kept', async (t) => {
  const layers = [{ heads: 0, neurons: 3 }];
  const gradients = { batches: 1, heads: new Float32Array(0), neurons: Float32Array.of(1, 1.1, -1.2) };
  const mask = { heads: new Float32Array(0), neurons: Float32Array.of(0, 0, 1) };
  t.same([...(await rearrange(mask, gradients, layers)).neurons], [1, 0, 0]);
});

t.test('an aborted signal stops it', async (t) => {
  const layers = [{ heads: 0, neurons: 1 }];
  const gradients = { batches: 1, heads: new Float32Array(0), neurons: Float32Array.of(1) };
  const mask = { heads: new Float32Array(0), neurons: Float32Array.of(1) };
  await t.rejects(rearrange(mask, gradients, layers, { signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' });
});

t.test("the public code's head gradients give its heads", { skip: !hasShared && 'no ../shared' }, async (t) => {
  const { headGradients, runs } = readReference();
  const layers = Array.from({ length: 6 }, () => ({ heads: 12, neurons: 0 }));
  const gradients: MiniBatchGradients = {
    batches: headGradients.length,
    heads: Float32Array.from(headGradients.flat(2)),
    neurons: new Float32Array(0),
  };
  for (const run of runs) {
    const mask = { heads: maskOf(run.search).heads, neurons: new Float32Array(0) };
    t.same((await rearrange(mask, gradients, layers)).heads, maskOf(run.rearranged).heads, `at ${run.keep}`);
  }
});
