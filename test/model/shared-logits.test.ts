import t, { type Test } from 'tap';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { packExamples } from '../../src/data/pack.js';
import type { PackedBatch } from '../../src/native/addon.js';
import { Engine } from '../../src/native/engine.js';
import { Model } from '../../src/native/model.js';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { hasShared, sharedPath } from '../support/paths.js';
import { packSequences, readGolden, type Sequence } from './support/golden.js';

const TOLERANCE = 1e-3;

interface Golden {
  maxLength: number;
  texts: [string, string | null][];
  logits: Record<string, number[][]>;
}

interface TokenGolden {
  /** Logits of a sequence, or a pair of each token. */
  models: Record<string, (Sequence & { logits: number[] | number[][] })[]>;
}

const script = 'make_logits_golden.py ../shared/models';
const { maxLength, texts, logits } = readGolden<Golden>('shared-logits.json', script);
const { models } = readGolden<TokenGolden>('shared-token-logits.json', script);
const skip = hasShared ? false : 'the shared models are absent (set ESPALIER_SHARED)';

/** `expected`: logits of each input. */
async function compare(t: Test, name: string, batch: PackedBatch, expected: number[][]): Promise<void> {
  const { spec, weights } = await readCheckpoint(sharedPath('models', name));
  using model = await Model.create(Engine.open(), spec, weights, 'inference');
  const actual = await model.forward(batch);
  t.equal(actual.length, expected.flat().length);
  let first = 0;
  for (const [index, row] of expected.entries()) {
    const differences = row.map((value, logit) => Math.abs(value - (actual[first + logit] as number)));
    t.ok(Math.max(...differences) < TOLERANCE, `input ${index}: ${Math.max(...differences)}`);
    first += row.length;
  }
}

for (const [name, expected] of Object.entries(logits)) {
  t.test(`${name} gives float64 PyTorch's logits on any text`, { skip }, async (t) => {
    const tokenizer = await loadTokenizer(sharedPath('models', name));
    const examples = texts.map(([text, pair]) => (pair === null ? { text } : { text, pair }));
    await compare(t, name, packExamples(tokenizer, examples, maxLength), expected);
  });
}

for (const [name, inputs] of Object.entries(models)) {
  t.test(`${name} gives float64 PyTorch's logits on any tokens`, { skip }, async (t) => {
    const expected = inputs.map(({ logits }) => logits.flat());
    await compare(t, name, packSequences(inputs), expected);
  });
}
