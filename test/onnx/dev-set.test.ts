import t from 'tap';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { readExamples } from '../../src/data/examples.js';
import { packSequences } from '../../src/data/pack.js';
import { Engine } from '../../src/native/engine.js';
import { Model } from '../../src/native/model.js';
import { encoderOnnx } from '../../src/onnx/encoder.js';
import { findTask } from '../../src/tasks/task.js';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { risingThresholds } from '../../src/tokens/baselines.js';
import { fitToMacs } from '../../src/tokens/fit-to-macs.js';
import { hasShared, sharedPath } from '../support/paths.js';
import { OnnxSession } from './support/onnxruntime.js';

const tolerance = 1e-5;
/** Importance that is so close to a threshold, as a part of it, may fall on either side. */
const borderline = 1e-6;
const examplesAtOnce = 51;

t.test(
  'dropping tokens gives the logits of masking them on every example of MRPC',
  { skip: !hasShared && 'no ../shared' },
  async (t) => {
    const directory = sharedPath('models', 'minilm-mrpc');
    const { spec, weights } = await readCheckpoint(directory);
    const task = findTask('mrpc');
    const tokenizer = await loadTokenizer(directory);
    const examples = await readExamples(sharedPath('data/glue/MRPC/dev.tsv'), task);
    const sequences = examples.flatMap((example) => task.encode(example, tokenizer, task.maxLength));
    using model = await Model.create(Engine.open(), spec, weights, 'inference');
    const { at, hardest } = risingThresholds(spec.layers.length, 0);
    const some = packSequences(sequences.slice(0, examplesAtOnce));
    const pruning = await fitToMacs(model, some, at, hardest, { macs: 0.5 });
    const onnx = await OnnxSession.open(Buffer.concat(encoderOnnx({ ...spec, tokenPruning: pruning }, weights, '1')));
    let worst = 0;
    let apart = 0;
    for (let first = 0; first < sequences.length; first += examplesAtOnce) {
      const batch = packSequences(sequences.slice(first, first + examplesAtOnce));
      const { logits, importance } = await model.traceTokens(batch, { pruning });
      const masked = await onnx.logits(batch);
      for (let s = 0; s + 1 < batch.offsets.length; s++) {
        const [start, end] = [batch.offsets[s] as number, batch.offsets[s + 1] as number];
        const near = pruning.values.some((value, layer) => {
          const own = importance.subarray(layer * batch.ids.length + start, layer * batch.ids.length + end);
          return value > 0 && own.some((score) => Math.abs(score - value) < borderline * value);
        });
        if (near) apart++;
        else
          for (const label of [2 * s, 2 * s + 1])
            worst = Math.max(worst, Math.abs((logits[label] as number) - (masked[label] as number)));
      }
    }
    await onnx.release();
    t.ok(worst < tolerance, 'all others agree', { worst });
    t.ok(apart < sequences.length / 100, 'few examples are borderline', { apart });
  },
);
