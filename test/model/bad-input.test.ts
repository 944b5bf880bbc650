import t, { type Test } from 'tap';
import type { KeptUnits, LossKind, NativeCancelToken, PackedBatch, TensorData } from '../../src/native/addon.js';
import { callAsync } from '../../src/native/call.js';
import { Engine } from '../../src/native/engine.js';
import type { EspalierError } from '../../src/native/errors.js';
import type { GradientMoments } from '../../src/native/gradient-moments.js';
import type { HiddenStates } from '../../src/native/hidden-states.js';
import { Model } from '../../src/native/model.js';
import { shortestSum, solveFiltered } from '../../src/native/solver.js';
import { Training } from '../../src/native/training.js';
import { goldenCheckpoint, openModel } from './support/golden.js';

const batchOf = (ids: number[], types: number[], offsets: number[]): PackedBatch => ({
  ids: Int32Array.from(ids),
  tokenTypes: Int32Array.from(types),
  offsets: Int32Array.from(offsets),
});

/** Two sequences of two and one tokens, which every golden model takes. */
const good = batchOf([5, 6, 7], [0, 0, 1], [0, 2, 3]);

/** The error has the code and its one line says what is wrong. */
async function rejects(t: Test, what: string, code: string, message: RegExp, body: () => unknown): Promise<void> {
  try {
    await body();
    t.fail(`${what}: nothing was thrown`);
  } catch (error) {
    const { name, code: actual, message: text } = error as EspalierError;
    t.match({ name, code: actual, text }, { name: 'EspalierError', code, text: message }, what);
    t.notMatch(text, /\n/, `${what}: one line`);
  }
}

const batches: [string, PackedBatch, RegExp][] = [
  ['an id beyond the vocabulary', batchOf([5, 97, 7], [0, 0, 0], [0, 2, 3]), /token id 97 at token 1 .* 0\.\.96/],
  ['a negative id', batchOf([5, 6, -1], [0, 0, 0], [0, 2, 3]), /token id -1 at token 2/],
  ['a token type beyond the table', batchOf([5, 6, 7], [0, 2, 0], [0, 2, 3]), /token type 2 at token 1/],
  ['too few token types', batchOf([5, 6, 7], [0, 0], [0, 2, 3]), /token type/],
  ['an empty sequence', batchOf([5, 6, 7], [0, 0, 0], [0, 3, 3]), /sequence 1 has 0 tokens/],
  ['no sequence', batchOf([], [], [0]), /offsets/],
  ['offsets that do not start at 0', batchOf([5, 6, 7], [0, 0, 0], [1, 3]), /offsets/],
  ['offsets that descend', batchOf([5, 6, 7], [0, 0, 0], [0, 5, 3]), /sequence 1 has -2 tokens/],
  ['offsets that end too early', batchOf([5, 6, 7], [0, 0, 0], [0, 2]), /last offset/],
  ['offsets that end too late', batchOf([5, 6, 7], [0, 0, 0], [0, 4]), /last offset/],
  [
    'more tokens than positions',
    batchOf(Array(513).fill(5), Array(513).fill(0), [0, 513]),
    /sequence 0 has 513 tokens.*1\.\.512/,
  ],
];

const runs: [
  string,
  RegExp,
  { labels?: number[]; loss?: LossKind; groups?: number[]; heads?: number; neurons?: number },
][] = [
  ['a label beyond the classes', /label/, { labels: [0, 3] }],
  ['a negative label', /label/, { labels: [-1, 0] }],
  ['too few labels', /label/, { labels: [0] }],
  ['too many labels', /label/, { labels: [0, 1, 2] }],
  ['a regression loss on three logits', /logit|label/, { loss: 'meanSquared' }],
  ['a loss that does not exist', /loss/, { loss: 'hinge' as LossKind }],
  ['too few groups', /group/, { groups: [0] }],
  ['groups that descend', /group/, { groups: [1, 0] }],
  ['groups that start beyond 0', /group/, { groups: [1, 2] }],
  ['groups with a gap', /group/, { groups: [0, 2] }],
  ['a mask of too few heads', /mask/, { heads: 14 }],
  ['a mask of too many neurons', /mask/, { neurons: 184 }],
];

const keptUnits: [string, (kept: KeptUnits) => void][] = [
  ['a unit that does not exist', (kept) => kept.heads[0]?.push(5)],
  ['a unit twice', (kept) => kept.neurons[1]?.push(60)],
  ['units out of order', (kept) => kept.neurons[2]?.reverse()],
  ['too few layers', (kept) => kept.heads.pop()],
  ['a negative unit', (kept) => kept.heads[1]?.unshift(-1)],
];

const weights: [string, string, RegExp, (weights: Map<string, TensorData>) => void][] = [
  ['a missing weight', 'ERR_INVALID_ARGUMENT', /pooler\.bias/, (map) => map.delete('pooler.bias')],
  [
    'a weight of another shape',
    'ERR_INVALID_ARGUMENT',
    /layers\.1\.ffn\.in\.weight/,
    (map) => map.set('layers.1.ffn.in.weight', map.get('pooler.weight') as TensorData),
  ],
  [
    'a weight with too few bytes',
    'ERR_INVALID_ARGUMENT',
    /pooler\.weight/,
    (map) => {
      const tensor = map.get('pooler.weight') as TensorData;
      map.set('pooler.weight', { ...tensor, data: tensor.data.subarray(4) });
    },
  ],
];

t.test('a batch the model does not know', async (t) => {
  using model = await openModel('gelu');
  for (const [what, batch, message] of batches) {
    await rejects(t, what, 'ERR_INVALID_ARGUMENT', message, () => model.forward(batch));
    await rejects(t, `embedding ${what}`, 'ERR_INVALID_ARGUMENT', message, () => model.embed(batch));
  }
  t.equal((await model.forward(good)).length, 6, 'the model still works');
});

t.test('labels, groups and masks that do not fit', async (t) => {
  using model = await openModel('gelu');
  for (const [
    what,
    message,
    { labels = [0, 2], loss = 'crossEntropy', groups = [0, 1], heads = 15, neurons = 183 },
  ] of runs) {
    const mask = { heads: new Float32Array(heads), neurons: new Float32Array(neurons) };
    const packed = loss === 'meanSquared' ? Float32Array.from(labels) : Int32Array.from(labels);
    await rejects(t, what, 'ERR_INVALID_ARGUMENT', message, () =>
      model.maskGradients(good, packed, loss, Int32Array.from(groups), { mask }),
    );
  }
});

t.test('spans and losses that do not fit', async (t) => {
  using model = await openModel('bert-span');
  using classifier = await openModel('gelu');
  const gradients = (of: Model, labels: number[], loss: LossKind) =>
    of.maskGradients(good, Int32Array.from(labels), loss, Int32Array.of(0, 1));
  for (const [what, labels, message] of [
    ['an end after the last token', [0, 2, 0, 0], /label 2 of sequence 0 is none of its 2 tokens/],
    ['a start in the next sequence', [0, 1, 1, 0], /label 1 of sequence 1 is none of its 1 tokens/],
    ['a negative start', [-1, 0, 0, 0], /label -1 of sequence 0/],
    ['one label a sequence', [0, 0], /two labels per sequence/],
  ] as const) {
    await rejects(t, what, 'ERR_INVALID_ARGUMENT', message, () => gradients(model, [...labels], 'span'));
  }
  await rejects(t, 'classes of a span head', 'ERR_INVALID_ARGUMENT', /span/, () =>
    gradients(model, [0, 1], 'crossEntropy'),
  );
  await rejects(t, 'spans of a classifier', 'ERR_INVALID_ARGUMENT', /span/, () =>
    gradients(classifier, [0, 0, 0, 0], 'span'),
  );
});

t.test('positions that count from a padding id leave room for fewer tokens', async (t) => {
  using model = await openModel('roberta', { mode: 'inference' });
  const tokens = (count: number) => batchOf(Array(count).fill(5), Array(count).fill(0), [0, count]);
  t.equal((await model.forward(tokens(64))).length, 2);
  await rejects(t, '65 tokens', 'ERR_INVALID_ARGUMENT', /sequence 0 has 65 tokens; the model takes 1\.\.64/, () =>
    model.forward(tokens(65)),
  );
});

t.test('token types of a model that has no two are not looked at', async (t) => {
  for (const name of ['roberta', 'distilbert'] as const) {
    using model = await openModel(name, { mode: 'inference' });
    t.same(await model.forward(batchOf([5, 6], [1, 7], [0, 2])), await model.forward(batchOf([5, 6], [0, 0], [0, 2])));
  }
});

t.test('specs that contradict themselves', async (t) => {
  const { spec, weights } = await goldenCheckpoint('roberta-span');
  for (const [what, change, message] of [
    ['an unknown head', { head: 'tokens' as 'span' }, /head/],
    ['an unknown head activation', { headActivation: 'gelu' as 'relu' }, /headActivation/],
    ['a span of three logits', { labels: 3 }, /span head has 2 labels/],
    ['no position', { positionPadding: 65 }, /positionPadding/],
    ['a negative padding', { positionPadding: -2 }, /positionPadding/],
  ] as const) {
    await rejects(t, what, 'ERR_INVALID_ARGUMENT', message, () =>
      Model.create(Engine.open(), { ...spec, ...change }, weights, 'inference'),
    );
  }
});

t.test('gradients of a model opened for inference', async (t) => {
  using model = await openModel('gelu', { mode: 'inference' });
  await rejects(t, 'maskGradients', 'ERR_INVALID_ARGUMENT', /opened for gradients/, () =>
    model.maskGradients(good, Int32Array.of(0, 1), 'crossEntropy', Int32Array.of(0, 1)),
  );
});

t.test('units and scales that do not fit', async (t) => {
  using model = await openModel('gelu');
  const all = (widths: number[]) => widths.map((width) => Array.from({ length: width }, (_, unit) => unit));
  for (const [what, damage] of keptUnits) {
    const kept = { heads: all([5, 5, 5]), neurons: all([61, 61, 61]) };
    damage(kept);
    await rejects(t, what, 'ERR_INVALID_ARGUMENT', /./, () => model.select(kept, 'inference'));
  }
  await rejects(t, 'too few scales', 'ERR_INVALID_ARGUMENT', /scale/, () =>
    model.scaleUnits(0, 'attention', new Float64Array(4)),
  );
  await rejects(t, 'a scale that is not a number', 'ERR_INVALID_ARGUMENT', /finite/, () =>
    model.scaleUnits(0, 'attention', new Float64Array(5).fill(Number.NaN)),
  );
  await rejects(t, 'a layer that does not exist', 'ERR_INVALID_ARGUMENT', /layer/, () =>
    model.scaleUnits(3, 'ffn', new Float64Array(61)),
  );
  await rejects(t, 'a weight that does not exist', 'ERR_INVALID_ARGUMENT', /layers\.3/, () =>
    model.weight('layers.3.ffn.in.weight', 'f32'),
  );
});

t.test('hidden states taken out of order', async (t) => {
  using model = await openModel('gelu');
  using states = await model.embed(good);
  await rejects(t, 'the second sub-layer first', 'ERR_INVALID_ARGUMENT', /sub-layer/, () => states.advance(0, 'ffn'));
  await rejects(t, 'a layer that does not exist', 'ERR_INVALID_ARGUMENT', /layer/, () => states.advance(3, 'ffn'));
  using other = await model.embed(batchOf([5, 6], [0, 0], [0, 2]));
  await rejects(t, 'a teacher with another batch', 'ERR_INVALID_ARGUMENT', /batch/, () =>
    states.collect(other, 0, 'attention'),
  );
});

t.test('objects of another class', async (t) => {
  using model = await openModel('gelu');
  using states = await model.embed(good);
  using training = await Training.start(model);
  const labels = Int32Array.of(0, 1);
  const distillation = { teacher: model.engine as unknown as Model, labels: 1, logits: 1, temperature: 1, hidden: 1 };
  const system = { matrix: Float64Array.of(1), rhs: Float64Array.of(1) };
  const runs: [string, () => unknown][] = [
    ['engine', () => solveFiltered(system, model as unknown as Engine)],
    ['teacher', () => training.accumulate(good, labels, 'crossEntropy', { distillation })],
    ['teacher', () => states.collect(model as unknown as HiddenStates, 0, 'attention')],
    ['targetsOnly', () => model.embed(good, { targetsOnly: model.engine as unknown as Model })],
    [
      'moments',
      () => model.maskGradients(good, labels, 'crossEntropy', labels, { moments: model as unknown as GradientMoments }),
    ],
    ['cancel', () => callAsync(() => model.native.forward(good, null, null, {} as NativeCancelToken))],
  ];
  for (const [name, run] of runs) {
    await rejects(t, name, 'ERR_INVALID_ARGUMENT', RegExp(`^${name} must be of the addon's class \\w+$`), run);
  }
});

t.test('what a solver cannot work with', async (t) => {
  const engine = Engine.open({ device: 'cpu' });
  const system = { matrix: Float64Array.of(1, 0, 0), rhs: Float64Array.of(1, 1) };
  await rejects(t, 'a system that is not square', 'ERR_INVALID_ARGUMENT', /sizes/, () => solveFiltered(system, engine));
  const vectors = Float32Array.of(1, 2, 3, 4, 5, 6);
  const sumOf = (length: number, start: number, end: number, count: number, of = vectors) =>
    shortestSum(of, length, { start, end }, count);
  t.same([...(await sumOf(2, 1, 3, 1))], [0]);
  for (const [what, run] of [
    ['no whole columns', () => sumOf(4, 0, 1, 1)],
    ['no rows', () => sumOf(0, 0, 1, 1)],
    ['columns that are not there', () => sumOf(2, 1, 4, 1)],
    ['more columns than there are to choose from', () => sumOf(2, 1, 3, 3)],
  ] as const) {
    await rejects(t, what, 'ERR_INVALID_ARGUMENT', /vectors/, run);
  }
  const infinite = Float32Array.of(1, Number.POSITIVE_INFINITY);
  await rejects(t, 'infinity', 'ERR_NON_FINITE', /finite/, () => sumOf(1, 0, 2, 1, infinite));
});

t.test('weights that do not fit', async (t) => {
  const engine = Engine.open();
  for (const [what, code, message, damage] of weights) {
    const { spec, weights } = await goldenCheckpoint('gelu');
    damage(weights);
    await rejects(t, what, code, message, () => Model.create(engine, spec, weights, 'inference'));
  }
});

t.test('a weight that is not a number is found out', async (t) => {
  const { spec, weights } = await goldenCheckpoint('gelu');
  const tensor = weights.get('layers.1.ffn.out.bias') as TensorData;
  weights.set('layers.1.ffn.out.bias', { ...tensor, data: new Uint8Array(tensor.data.length).fill(0xff) });
  using model = await Model.create(Engine.open(), spec, weights, 'gradients');
  await rejects(t, 'forward', 'ERR_NON_FINITE', /./, () => model.forward(good));
  await rejects(t, 'maskGradients', 'ERR_NON_FINITE', /./, () =>
    model.maskGradients(good, Int32Array.of(0, 1), 'crossEntropy', Int32Array.of(0, 1)),
  );
  await rejects(t, 'maskGradients of given gradients', 'ERR_NON_FINITE', /./, () =>
    model.maskGradients(good, new Float32Array(2 * spec.labels).fill(1), 'given', Int32Array.of(0, 1)),
  );
});

t.test('devices and threads that cannot be', async (t) => {
  await rejects(t, 'an unknown device', 'ERR_INVALID_ARGUMENT', /tpu/, () => Engine.open({ device: 'tpu' }));
  for (const device of ['cpu:1', 'cpu:', 'cuda:0x1', 'cuda:1:2', '']) {
    await rejects(t, device, 'ERR_INVALID_ARGUMENT', /no backend/, () => Engine.open({ device }));
  }
  for (const threads of [0, -1, 1.5, Number.NaN, 5000]) {
    await rejects(t, `${threads} threads`, 'ERR_INVALID_ARGUMENT', /threads/, () => Engine.open({ threads }));
  }
});
