import { interleave, spreadOf } from '../src/latency/rounds.js';
import { loadTokenizer } from '../src/tokenizer/tokenizer.js';
import { hasShared, sharedPath } from '../test/support/paths.js';
import { type Benchmark, verify } from './support/benchmark.js';
import { glueExamples } from './support/workloads.js';

const MAX_LENGTH = 64;
const SENTENCES = ["it 's a charming and often affecting journey . ", 'Unbelievably naïve — 漢字 😀!'];

/** What the Rust tokenizers library makes of the sentences. */
const kinds = [
  {
    kind: 'WordPiece',
    model: 'minilm-sst2',
    ids: [
      [101, 2009, 1005, 1055, 1037, 11951, 1998, 2411, 12473, 4990, 1012, 102],
      [101, 4895, 8671, 2666, 3567, 6321, 15743, 1517, 1904, 100, 100, 999, 102],
    ],
  },
  {
    kind: 'byte-level BPE',
    model: 'roberta-sst2',
    ids: [
      [0, 277, 363, 87, 262, 3097, 295, 1242, 7905, 4088, 349, 225, 2],
      [
        0, 5277, 6116, 90, 1083, 8034, 132, 112, 311, 9877, 225, 167, 125, 100, 166, 260, 250, 225, 177, 258, 251, 227,
        5, 2,
      ],
    ],
  },
];

export const tokenizer: Benchmark = {
  name: 'tokenizer',
  title: 'Sentences of SST-2, train and dev, into tokens: one thread, no word remembered when a round begins',
  async run({ rounds, log }) {
    if (!hasShared) {
      log('skipped: the shared models and data are absent (set ESPALIER_SHARED)');
      return [];
    }
    const examples = [...(await glueExamples('sst2', 'train')), ...(await glueExamples('sst2', 'dev'))];
    const contenders = kinds.map(({ kind, model }) => ({
      name: kind,
      tokens: 0,
      async run() {
        const encode = await load(model);
        const start = performance.now();
        this.tokens = examples.reduce((sum, { text }) => sum + encode(text).length, 0);
        return (performance.now() - start) / 1000;
      },
    }));
    for (const { kind, model, ids } of kinds) {
      const encode = await load(model);
      for (const [index, sentence] of SENTENCES.entries()) verify(kind, encode(sentence), ids[index] as number[], 0);
    }
    log(`${examples.length} sentences`);
    const seconds = await interleave(contenders, rounds);
    return contenders.map(({ name, tokens }, index) => {
      const { median, lowest, highest } = spreadOf(seconds[index] as number[]);
      const rate = (passed: number) => Math.round(examples.length / passed);
      return {
        tokenizer: name,
        'sentences/s': rate(median),
        range: `${rate(highest)}-${rate(lowest)}`,
        'tokens/s': Math.round(tokens / median),
      };
    });
  },
};

/** A tokenizer that has met no word yet. */
async function load(model: string): Promise<(text: string) => number[]> {
  const tokenizer = await loadTokenizer(sharedPath('models', model));
  return (text) => tokenizer.encode(text, undefined, { maxLength: MAX_LENGTH }).ids;
}
