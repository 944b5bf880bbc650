// Reads {"checkpoint": directory, "sequences": [{"ids": [...], "types": [...]}]} and prints the engine's logits, flat.
import { text } from 'node:stream/consumers';
import { readCheckpoint } from '../../dist/src/checkpoint/checkpoint.js';
import { Engine } from '../../dist/src/native/engine.js';
import { Model } from '../../dist/src/native/model.js';

const { checkpoint, sequences } = JSON.parse(await text(process.stdin));
const { spec, weights } = await readCheckpoint(checkpoint);
const model = await Model.create(Engine.open(), spec, weights, 'inference');
const offsets = [0];
for (const { ids } of sequences) offsets.push(offsets.at(-1) + ids.length);
const logits = await model.forward({
  ids: Int32Array.from(sequences.flatMap(({ ids }) => ids)),
  tokenTypes: Int32Array.from(sequences.flatMap(({ types }) => types)),
  offsets: Int32Array.from(offsets),
});
console.log(JSON.stringify([...logits]));
