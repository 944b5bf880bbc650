import t from 'tap';
import { macsOf, type UnitMacs, unitMacs } from '../../src/prune/macs.js';
import { searchUnderMacs } from '../../src/prune/search-macs.js';
import type { UnitValues } from '../../src/prune/units.js';
import { hasShared } from '../support/paths.js';
import { randomNumbers } from './random.js';
import { maskOf, minilmSpec, readReference } from './reference.js';

const count = (mask: Float32Array) => mask.reduce((sum, value) => sum + value, 0);
const values = (heads: number[], neurons: number[]): UnitValues => ({
  heads: Float64Array.from(heads),
  neurons: Float64Array.from(neurons),
});

function randomCase(seed: number): { importance: UnitValues; macs: UnitMacs; keep: number } {
  const random = randomNumbers(seed);
  const list = (length: number) => Array.from({ length }, () => (random() < 0.2 ? 0 : random() ** 4));
  return {
    importance: values(list(Math.floor(random() * 8)), list(1 + Math.floor(random() * 30))),
    macs: { head: 1 + random() * 40, neuron: 0.1 + random() },
    keep: random() < 0.1 ? 1 : random() ** 2 + 1e-3,
  };
}

t.test('the budget is met, and missed by less than a neuron while there are neurons left', (t) => {
  for (let seed = 0; seed < 1000; seed++) {
    const { importance, macs, keep } = randomCase(seed);
    const mask = searchUnderMacs(importance, macs, keep);
    const [heads, neurons] = [count(mask.heads), count(mask.neurons)];
    const budget = keep * macsOf(macs, importance.heads.length, importance.neurons.length);
    const used = macsOf(macs, heads, neurons);
    if (used > budget) t.fail(`case ${seed}: ${used} is above the budget of ${budget}`);
    if (used <= budget - macs.neuron * (1 + 1e-9) && neurons < importance.neurons.length) {
      t.fail(`case ${seed}: ${used} leaves room for a neuron of ${macs.neuron} below ${budget}`);
    }
  }
  t.pass('1,000 random cases');
  t.end();
});

t.test('no other choice of that many units under the budget keeps more importance', (t) => {
  for (let seed = 0; seed < 60; seed++) {
    const random = randomNumbers(seed);
    const list = (length: number) => Array.from({ length }, random);
    const importance = values(list(4), list(7));
    const macs = { head: 3 + random(), neuron: 1 };
    const keep = 0.05 + 0.9 * random();
    const mask = searchUnderMacs(importance, macs, keep);
    const units = [...importance.heads, ...importance.neurons];
    const cost = (chosen: number[]) => chosen.reduce((sum, unit) => sum + (unit < 4 ? macs.head : macs.neuron), 0);
    const worth = (chosen: number[]) => chosen.reduce((sum, unit) => sum + (units[unit] as number), 0);
    const subsets = Array.from({ length: 2 ** units.length }, (_, bits) =>
      [...units.keys()].filter((unit) => (bits >> unit) & 1),
    );
    const best = Math.max(...subsets.filter((s) => cost(s) <= keep * macsOf(macs, 4, 7)).map(worth));
    const chosen = [...mask.heads, ...mask.neurons].flatMap((kept, unit) => (kept ? [unit] : []));
    if (Math.abs(worth(chosen) - best) > 1e-12) t.fail(`case ${seed} keeps ${worth(chosen)} of ${best}`);
  }
  t.pass('60 cases against all subsets');
  t.end();
});

t.test('keeping everything keeps even units without importance', (t) => {
  const mask = searchUnderMacs(values([0, 1, 0], [0, 0, 2, 0.1]), { head: 1 / 3, neuron: 0.1 }, 1);
  t.same([...mask.heads, ...mask.neurons], [1, 1, 1, 1, 1, 1, 1]);
  t.end();
});

t.test('a budget below a single unit keeps nothing', (t) => {
  const mask = searchUnderMacs(values([1, 1], [1, 1]), { head: 10, neuron: 1 }, 0.01);
  t.same([...mask.heads, ...mask.neurons], [0, 0, 0, 0]);
  t.end();
});

t.test('of equally important units the first are kept', (t) => {
  const mask = searchUnderMacs(values([1, 1, 1], [1, 1, 1, 1]), { head: 1, neuron: 1 }, 5 / 7);
  t.same([...mask.heads], [1, 1, 1]);
  t.same([...mask.neurons], [1, 1, 0, 0]);
  t.end();
});

t.test('a model without heads, or without neurons, can be searched', (t) => {
  t.same([...searchUnderMacs(values([], [1, 3, 2]), { head: 5, neuron: 1 }, 0.7).neurons], [0, 1, 1]);
  t.same([...searchUnderMacs(values([1, 3, 2], []), { head: 5, neuron: 1 }, 0.7).heads], [0, 1, 1]);
  t.end();
});

t.test("the public code's Fisher values give the public code's masks", { skip: !hasShared && 'no ../shared' }, (t) => {
  const reference = readReference();
  const fisher = values(reference.fisher.heads.flat(), reference.fisher.neurons.flat());
  const macs = unitMacs(minilmSpec, reference.seqLen);
  for (const run of reference.runs) {
    const mask = searchUnderMacs(fisher, macs, run.keep);
    const teacher = searchUnderMacs(fisher, macs, Math.sqrt(run.keep));
    t.same([count(mask.heads), count(mask.neurons)], [run.heads, run.neurons], `numbers of units at ${run.keep}`);
    const used = macsOf(macs, run.heads, run.neurons) / macsOf(macs, 72, 9216);
    t.ok(Math.abs(used - run.macs) < 1e-7, 'MACs');
    // Fisher values are recorded to nine digits: units of equal value there may change places.
    const differences = (a: Float32Array, b: Float32Array) => a.filter((kept, unit) => kept !== b[unit]).length;
    const expected = [maskOf(run.search), maskOf(run.teacher)] as const;
    t.equal(differences(mask.heads, expected[0].heads) + differences(teacher.heads, expected[1].heads), 0, 'heads');
    t.ok(differences(mask.neurons, expected[0].neurons) + differences(teacher.neurons, expected[1].neurons) <= 4);
  }
  t.end();
});
