import t from 'tap';
import { Engine } from '../../src/native/engine.js';
import { compact, droppedNeurons } from '../../src/prune/compact.js';
import { squaredDistance } from '../../src/prune/residual.js';
import { sublayerSystem, tune } from '../../src/prune/tune.js';
import { hasShared } from '../support/paths.js';
import { maskOf, openMrpc, type RecordedRun, readReference } from './reference.js';

t.setTimeout(900_000);

t.test(
  'scales fitted to some samples bring every sub-layer closer to the teacher on others',
  { skip: !hasShared && 'no ../shared' },
  async (t) => {
    const reference = readReference();
    using engine = Engine.open();
    const { model, train, pack } = await openMrpc(engine, reference);
    const { rearranged, teacher } = reference.runs[0] as RecordedRun;
    using student = await compact(model, maskOf(rearranged), 'inference');
    const calibration = await pack(train.slice(0, 1024));
    const tuned = await tune(student, model, maskOf(teacher), calibration.batch);

    const { batch } = await pack(train.slice(-256));
    using replayed = await compact(model, maskOf(rearranged), 'inference');
    using teacherModel = await compact(model, maskOf(teacher), 'inference');
    using targetsOnly = await droppedNeurons(model, maskOf(teacher));
    using guide = await teacherModel.embed(batch, { targetsOnly });
    using states = await replayed.embed(batch);
    await guide.advance(0, 'attention');
    await states.advance(0, 'attention');
    for (const { layer, sublayer, scales } of tuned) {
      const { system, targetSquares } = await sublayerSystem(replayed, states, guide, layer, sublayer);
      const before = squaredDistance(system, new Float64Array(scales.length).fill(1), targetSquares) / targetSquares;
      const after = squaredDistance(system, scales, targetSquares) / targetSquares;
      t.ok(after < before, `${sublayer} ${layer}: ${before.toFixed(5)} -> ${after.toFixed(5)}`);
      await replayed.scaleUnits(layer, sublayer, scales);
      await states.advance(layer, sublayer);
    }
  },
);
