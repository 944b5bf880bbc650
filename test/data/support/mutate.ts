import type { Random } from '../../../src/data/random.js';

/** Texts and numbers that a careless reader trips over. */
const hostile = [
  ...['\t', '\n', '\r', '"', '""', ',', '{', '}', '[', ']', '\\', '\ufeff', '\x00', '\u2028'].map((text) =>
    Buffer.from(text),
  ),
  ...['null', '1e999', '__proto__'].map((text) => Buffer.from(text)),
  ...['ffffffff', 'ffffffff0f', '80808080', 'feffffff07', '00000080', '7f'].map((bytes) => Buffer.from(bytes, 'hex')),
];

/** Replaces, inserts or removes a few bytes, or repeats many. */
export function mutate(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1);
  const tail = bytes.subarray(Math.min(bytes.length, at + random.below(6)));
  const piece = hostile[random.below(hostile.length)] as Buffer;
  const pieces = [
    () => Buffer.alloc(0),
    () => Buffer.of(random.below(256)),
    () => piece,
    () => bytes.subarray(random.below(bytes.length + 1)),
  ];
  // A file with sizes in it is soon refused when its length changes.
  if (random.below(2) === 0) return overwrite(bytes, at, random.below(2) ? piece : Buffer.of(random.below(256)));
  return Buffer.concat([bytes.subarray(0, at), (pieces[random.below(pieces.length)] as () => Buffer)(), tail]);
}

function overwrite(bytes: Buffer, at: number, piece: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  piece.copy(changed, at);
  return changed;
}
