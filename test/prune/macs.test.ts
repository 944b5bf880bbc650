import t from 'tap';
import { modelMacs, unitMacs } from '../../src/prune/macs.js';

const spec = { hiddenSize: 4, headSize: 2 };

t.test('a unit costs the products it takes part in', (t) => {
  const { head, neuron } = unitMacs(spec, 3);
  const projections = 3 * (3 * 4 * 2);
  const scoresAndContext = 2 * (3 * 3 * 2);
  const output = 3 * 2 * 4;
  t.equal(head, projections + scoresAndContext + output);
  t.equal(neuron, 2 * (3 * 4));
  t.end();
});

t.test('a model costs what its units cost, layers of any size and empty ones among them', (t) => {
  const layers = [
    { heads: 2, neurons: 5 },
    { heads: 0, neurons: 0 },
    { heads: 1, neurons: 0 },
  ];
  const { head, neuron } = unitMacs(spec, 3);
  t.equal(modelMacs({ ...spec, layers }, 3), 3 * head + 5 * neuron);
  t.end();
});
