import t from 'tap';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { packSequences } from '../../src/data/pack.js';
import { Engine } from '../../src/native/engine.js';
import { Model } from '../../src/native/model.js';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { hasShared, sharedPath } from '../support/paths.js';
import { readGolden } from './support/golden.js';

const TOLERANCE = 1e-3;

interface Golden {
  maxLength: number;
  texts: [string, string | null][];
  logits: Record<string, number[][]>;
}

const { maxLength, texts, logits } = readGolden<Golden>('shared-logits.json', 'make_logits_golden.py ../shared/models');

for (const [name, expected] of Object.entries(logits)) {
  const skip = hasShared ? false : 'the shared models are absent (set ESPALIER_SHARED)';
  t.test(`${name} gives float64 PyTorch's logits on any text`, { skip }, async (t) => {
    const { spec, weights } = await readCheckpoint(sharedPath('models', name));
    using model = await Model.create(Engine.open(), spec, weights, 'inference');
    const tokenizer = await loadTokenizer(sharedPath('models', name));
    const sequences = texts.map(([text, pair]) => tokenizer.encode(text, pair ?? undefined, { maxLength }));
    const actual = await model.forward(packSequences(sequences));
    t.equal(actual.length, expected.flat().length);
    for (const [index, row] of expected.entries()) {
      const differences = row.map((value, label) => Math.abs(value - (actual[index * spec.labels + label] as number)));
      t.ok(Math.max(...differences) < TOLERANCE, `text ${index}`, { differences, text: texts[index] });
    }
  });
}
