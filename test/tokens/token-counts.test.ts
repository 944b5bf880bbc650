import t from 'tap';
import { macsOfMeanSequence, sequenceMacs, tokenCounts, tokenSavings } from '../../src/tokens/token-counts.js';

const spec = {
  hiddenSize: 8,
  headSize: 4,
  layers: [
    { heads: 2, neurons: 12 },
    { heads: 1, neurons: 6 },
  ],
};
const long = [4, 3, 2];
const short = [1, 1, 1];

t.test('a token counts in every layer up to its depth', async (t) => {
  const batch = { offsets: Int32Array.of(0, 4, 5) };
  t.strictSame(tokenCounts({ depths: Int32Array.of(2, 0, 1, 2, 2) }, batch, 2), [long, short]);
  t.strictSame(tokenCounts({ depths: Int32Array.of() }, { offsets: Int32Array.of(0) }, 2), []);
});

t.test('attention is paid for by the tokens that come in, the FFN by those that go on', async (t) => {
  // Four projections and two products a head, of 4 and then 3 tokens.
  const attention = 2 * (4 * 4 * 8 * 4 + 2 * 4 ** 2 * 4) + (4 * 3 * 8 * 4 + 2 * 3 ** 2 * 4);
  // Two products a neuron, of 3 and then 2 tokens.
  const ffn = 12 * 2 * 3 * 8 + 6 * 2 * 2 * 8;
  t.equal(attention + ffn, 2504);
  t.equal(sequenceMacs(spec, long), 2504);
  t.equal(sequenceMacs(spec, [4, 4, 4]), 3072);
});

t.test('a layer without heads or neurons costs nothing', async (t) => {
  const emptied = { ...spec, layers: [{ heads: 0, neurons: 0 }, spec.layers[1] as (typeof spec.layers)[0]] };
  t.equal(sequenceMacs(emptied, long), 456 + 192);
});

t.test('savings are of all sequences together, not a mean of theirs', async (t) => {
  const { macs, keptPerLayer } = tokenSavings(spec, [long, short]);
  const dense = [3072, 464 + 232];
  t.equal(macs, (2504 + 464 + 232) / ((dense[0] as number) + (dense[1] as number)));
  t.strictSame(keptPerLayer, [4 / 5, 3 / 5]);
  t.strictSame(tokenSavings(spec, [short]), { macs: 1, keptPerLayer: [1, 1] });
});

t.test('where only sums are known, all sequences are taken to be of the mean length', async (t) => {
  const sums = long.map((count) => 3 * count);
  t.equal(macsOfMeanSequence(spec, sums, 3), 2504 / 3072);
  t.ok(macsOfMeanSequence(spec, [5, 4, 3], 2) < 1);
});
