import { weightShapes } from '../checkpoint/roles.js';
import { Random } from '../data/random.js';
import type { ModelSpec } from '../native/addon.js';

/** What transformers begins a new head with. */
const deviation = 0.02;

/** Weights of a head that has learnt nothing: matrices normally distributed, biases 0. By role. */
export function newHead(spec: ModelSpec, seed: number): Record<string, Float32Array> {
  const random = new Random(seed);
  const roles = [...weightShapes(spec)].filter(([role]) => /^(pooler|classifier)\./.test(role));
  return Object.fromEntries(
    roles.map(([role, shape]) => {
      const count = shape.reduce((product, extent) => product * extent, 1);
      const value = role.endsWith('.bias') ? () => 0 : () => deviation * normal(random);
      return [role, Float32Array.from({ length: count }, value)];
    }),
  );
}

/** Of the standard normal distribution (Box and Muller 1958). */
function normal(random: Random): number {
  const uniform = () => (random.next() + 0.5) / 2 ** 32;
  return Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
