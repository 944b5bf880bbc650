import t from 'tap';
import { holdOut, sequences } from '../../src/prune/sequences.js';

const lengths = [2, 1, 3, 1, 2, 4, 1];
const ids = lengths.flatMap((length, s) => Array.from({ length }, (_, i) => 10 * s + i));
const batch = {
  ids: Int32Array.from(ids),
  tokenTypes: Int32Array.from(ids, (id) => id % 2),
  offsets: Int32Array.from([0, 2, 3, 6, 7, 9, 13, 14]),
};

t.test('every third sequence is held out, with its tokens and their types', async (t) => {
  const [others, heldOut] = holdOut(batch, 3);
  t.same(heldOut, {
    ids: Int32Array.of(20, 21, 22, 50, 51, 52, 53),
    tokenTypes: Int32Array.of(0, 1, 0, 0, 1, 0, 1),
    offsets: Int32Array.of(0, 3, 7),
  });
  t.same(others?.ids, Int32Array.of(0, 1, 10, 30, 40, 41, 60));
  t.same(others?.offsets, Int32Array.of(0, 2, 3, 4, 6, 7));
});

t.test('of fewer sequences than one in so many none is held out', async (t) => {
  t.same(holdOut(batch, 8), [batch]);
  t.same(holdOut(batch, 7)[1], sequences(batch, 6, 7));
});
