import t from 'tap';
import { EngineRuntime } from '../../src/contenders/engine.js';
import { OnnxRuntime } from '../../src/contenders/onnxruntime.js';
import {
  goldenCheckpoint,
  goldenModels,
  openModel,
  packSequences,
  readGolden,
  relativeError,
} from '../model/support/golden.js';

for (const name of goldenModels) {
  t.test(`${name}: the engine's logits in the engine's layout, however far it is padded`, async (t) => {
    // Every model has more positions, for padding too.
    const sequences = readGolden(`${name}.json`).sequences.filter(({ ids }) => ids.length < 60);
    const batch = packSequences(sequences);
    const longest = Math.max(...sequences.map(({ ids }) => ids.length));
    using model = await openModel(name, { mode: 'inference' });
    const engine = await new EngineRuntime('espalier', model).prepare(batch);
    await engine.run();
    await using onnxruntime = await OnnxRuntime.open(await goldenCheckpoint(name), 1);
    for (const width of [undefined, longest + 3]) {
      const padded = await onnxruntime.prepare(batch, width);
      await padded.run();
      t.ok(relativeError(await padded.logits(), await engine.logits()) < 1e-4);
      t.equal(padded.paddedTokens, sequences.length * (width ?? longest));
    }
  });
}
