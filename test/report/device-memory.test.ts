import t from 'tap';
import { Engine } from '../../src/native/engine.js';
import { deviceMemory } from '../../src/report/device-memory.js';

t.test('a report says what a device held', (t) => {
  t.strictSame(deviceMemory({ peakBytes: 5 }), { peakDeviceBytes: 5 });
  t.end();
});

t.test('a report says nothing of the memory of a device that has none of its own', (t) => {
  for (const device of ['cpu', 'reference']) {
    using engine = Engine.open({ device });
    t.equal(engine.peakBytes, undefined);
    t.strictSame(deviceMemory(engine), {});
  }
  t.end();
});
