import t from 'tap';
import { packSequences } from '../../src/data/pack.js';

t.test('joins sequences without padding', async (t) => {
  const sequences = [
    { ids: [1, 97, 98, 2], typeIds: [0, 0, 0, 0] },
    { ids: [1, 2], typeIds: [0, 0] },
    { ids: [1, 99, 2, 100, 101, 2], typeIds: [0, 0, 0, 1, 1, 1] },
  ];
  t.same(packSequences(sequences), {
    ids: Int32Array.of(1, 97, 98, 2, 1, 2, 1, 99, 2, 100, 101, 2),
    tokenTypes: Int32Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1),
    offsets: Int32Array.of(0, 4, 6, 12),
  });
});

t.test('nothing packs to nothing', async (t) => {
  t.same(packSequences([]), { ids: new Int32Array(0), tokenTypes: new Int32Array(0), offsets: Int32Array.of(0) });
});
