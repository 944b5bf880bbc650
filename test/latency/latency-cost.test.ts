import t from 'tap';
import { LatencyCost } from '../../src/latency/latency-cost.js';
import { type LatencyProfile, parseProfile } from '../../src/latency/latency-profile.js';
import { median } from '../../src/statistics.js';

const point = (units: number, ...samples: number[]) => ({ units, samples });
const spec = {
  hiddenSize: 24,
  headSize: 8,
  head: 'sequence' as const,
  layers: [0, 1].map(() => ({ heads: 3, neurons: 64 })),
};

/** Three rounds, of which one was disturbed. */
const profile: LatencyProfile = {
  command: 'profile',
  version: '0',
  environment: { cpu: 'a cpu', cores: 2, node: 'v20' },
  device: 'cpu',
  threads: 2,
  precision: 'fp32',
  ...spec,
  lengths: [4, 5],
  rest: { samples: [0.9, 1, 9] },
  whole: { samples: [30, 31, 90] },
  inner: {
    attention: [point(1, 2, 2, 9), point(2, 3, 4, 9), point(3, 3, 3.5, 9)],
    ffn: [point(16, 2, 2, 9), point(64, 8, 8, 9)],
  },
  last: {
    attention: [point(1, 1, 1, 9), point(2, 2, 2, 9), point(3, 3, 3, 9)],
    ffn: [point(16, 0, -1, 9), point(64, 0.5, 0.5, 9)],
  },
};

t.test('a cost is the median, interpolated between widths, and never falls with the width', async (t) => {
  const cost = new LatencyCost(profile, spec);
  t.equal(cost.of(0, 'attention', 0), 0);
  t.equal(cost.of(0, 'attention', 1), 2);
  t.equal(cost.of(0, 'attention', 3), 4, 'as much as two heads, which took longer');
  t.equal(cost.of(0, 'ffn', 8), 1);
  t.equal(cost.of(0, 'ffn', 40), 5);
  t.equal(cost.of(0, 'ffn', 64), 8);
  t.equal(cost.of(1, 'attention', 2), 2, 'the last layer has its own table');
  t.equal(cost.of(1, 'ffn', 16), 0, 'what noise makes negative costs nothing');
});

t.test('the budget is what is left beside what cannot be pruned', async (t) => {
  const cost = new LatencyCost(profile, spec);
  const whole = 1 + (4 + 8) + (3 + 0.5);
  t.equal(cost.whole(spec.layers), whole);
  t.equal(cost.budget(0.5), whole / 2 - 1);
  t.throws(() => cost.budget(0.05), { code: 'ERR_TARGET', message: /take 0\.06 \(keep more\)/ });
});

t.test('the last layer of a model without its own table is like the others', async (t) => {
  const { last: _, ...others } = profile;
  const span = { ...spec, head: 'span' as const };
  t.equal(new LatencyCost({ ...others, head: 'span' }, span).of(1, 'attention', 2), 4);
});

t.test('a profile serves models that are as deep and at most as wide, layer by layer, and no others', async (t) => {
  const refused = { code: 'ERR_OPTION', message: /of another size, or unfinished/ };
  const [wide, narrow] = [
    { heads: 3, neurons: 64 },
    { heads: 1, neurons: 5 },
  ];
  t.doesNotThrow(() => new LatencyCost(profile, { ...spec, layers: [wide, narrow] }));
  t.throws(() => new LatencyCost(profile, { ...spec, layers: [{ ...narrow, heads: 4 }, narrow] }), refused);
  t.throws(() => new LatencyCost(profile, { ...spec, layers: [narrow] }), refused);
  const { attention } = profile.inner;
  const narrowLast = { ...profile, last: { attention, ffn: [] } };
  t.doesNotThrow(() => new LatencyCost(narrowLast, { ...spec, layers: [wide, { heads: 3, neurons: 0 }] }));
  t.throws(() => new LatencyCost(narrowLast, spec), refused, 'the last layer has its own widths');
  t.throws(() => new LatencyCost(profile, { ...spec, hiddenSize: 32 }), refused);
  t.throws(() => new LatencyCost(profile, { ...spec, head: 'span' }), refused);
  t.throws(() => new LatencyCost({ ...profile, rest: { samples: [] } }, spec), refused);
  const tokenPruning = { rule: 'keepRate' as const, values: [0.5, 0.5] };
  t.throws(() => new LatencyCost(profile, { ...spec, tokenPruning }), { code: 'ERR_UNSUPPORTED' });
});

t.test('a profile is read back as it was written; what is none is an error that says where', async (t) => {
  t.strictSame(parseProfile(JSON.stringify(profile), 'p.json'), profile);
  const refused = (text: string, message: RegExp) =>
    t.throws(() => parseProfile(text, 'p.json'), { code: 'ERR_DATA', message });
  refused('', /p\.json is no latency profile: /);
  refused('[]', /p\.json is no latency profile: /);
  refused(JSON.stringify({ ...profile, rest: { samples: ['1'] } }), /rest\.samples\.0: /);
  refused(JSON.stringify({ ...profile, inner: undefined }), /inner/);
});

t.test('the median of an even number of values lies between the two in the middle', async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 3, 2]), 2.5);
});
