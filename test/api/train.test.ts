import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { weightShapes } from '../../src/checkpoint/roles.js';
import {
  evaluate,
  type LoadedModel,
  loadModel,
  type ProgressEvent,
  prune,
  type TrainOptions,
  train,
} from '../../src/index.js';
import type { DType, TokenPruning } from '../../src/native/addon.js';
import { findTask } from '../../src/tasks/task.js';
import { TaskBatch } from '../../src/tasks/task-batch.js';
import { defaultRecipe } from '../../src/training/recipe.js';
import { demoExamples } from '../data/support/demo.js';
import { sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';
import { questions, writeTinyQuestionAnswering } from '../support/tiny-question-answering.js';
import { writeDropping, writeTinyRegression } from './support/checkpoints.js';

const directory = temporaryDirectory();
const path = (name: string) => join(directory, name);
const examples = demoExamples('train', 24);
const data = { task: 'sst2', train: examples, maxLength: 24 };
/** All examples in each of so many steps, and no chance in any. */
const plain = (epochs: number, learningRate = 1e-4) => ({
  epochs,
  batch: examples.length,
  learningRate,
  warmup: 0,
  dropout: 0,
});
const model = await loadModel(sentimentMini);
t.teardown(() => model.dispose());

async function weightsOf({ native }: LoadedModel, dtype: DType = 'f32'): Promise<Buffer> {
  const roles = [...weightShapes(native.spec).keys()];
  return Buffer.concat(await Promise.all(roles.map(async (role) => (await native.weight(role, dtype)).data)));
}

/** Mean cross entropy of the examples, as the model's own forward has it or with another token pruning. */
async function meanLoss({ native, tokenizer }: LoadedModel, pruning?: null): Promise<number> {
  const { packed } = new TaskBatch(findTask('sst2'), examples, tokenizer, data.maxLength);
  const logits = await native.forward(packed, { pruning });
  const losses = examples.map(({ label }, n) => {
    const own = [...logits.subarray(2 * n, 2 * n + 2)];
    return Math.log(own.reduce((sum, logit) => sum + Math.exp(logit), 0)) - (own[Number(label)] as number);
  });
  return losses.reduce((sum, loss) => sum + loss) / losses.length;
}

/** The weights that a training leads to, and its losses. */
async function outcomeOf(from: LoadedModel, options: Partial<TrainOptions>) {
  await using result = await train(from, { ...data, dtype: 'f32', ...options });
  return { weights: await weightsOf(result.model), losses: result.report.epochs.map(({ loss }) => loss) };
}

t.test('training lowers the loss, says what it did, and leaves the given model as it was', async (t) => {
  const before = await weightsOf(model);
  const recipe = { epochs: 3, batch: 8, learningRate: 1e-4 };
  await using result = await train(model, { ...data, eval: examples, recipe });
  const { epochs, dense, trained, ...report } = result.report;
  t.match(report, { command: 'train', task: 'sst2', seed: 0, device: 'cpu', precision: 'fp32' });
  t.strictSame(report.recipes, { train: { ...defaultRecipe, ...recipe } });
  t.strictSame(
    epochs.map(({ stage, epoch }) => [stage, epoch]),
    [
      ['train', 1],
      ['train', 2],
      ['train', 3],
    ],
  );
  const losses = epochs.map(({ loss }) => loss);
  t.ok((losses[2] as number) < 0.9 * (losses[0] as number), `${losses}`);
  t.ok(epochs.every(({ tokensPerSecond }) => tokensPerSecond > 0));
  t.strictSame(dense, (await evaluate(model, { ...data, examples })).metrics);
  t.ok((trained?.accuracy as number) >= (dense?.accuracy as number));
  t.strictSame(epochs.at(-1)?.metrics, trained);
  t.notOk('tokenPruning' in report || 'dropping' in report || 'method' in report);
  t.ok((await weightsOf(model)).equals(before));

  const saved = await result.save(path('tuned'));
  t.equal(saved.output, path('tuned'));
  t.strictSame(JSON.parse(readFileSync(join(path('tuned'), 'training.json'), 'utf8')).epochs, epochs);
  await using tuned = await loadModel(path('tuned'));
  const evaluated = await evaluate(tuned, { examples, maxLength: data.maxLength });
  t.strictSame([evaluated.task, evaluated.metrics], ['sst2', trained], 'config.json names the task');
  await t.rejects(result.save(path('tuned')), { code: 'ERR_OUTPUT', message: /tuned exists/ });
});

t.test('the loss of a first step is that of the model as it was', async (t) => {
  const { losses } = await outcomeOf(model, { recipe: plain(1) });
  const expected = await meanLoss(model);
  t.ok(Math.abs((losses[0] as number) - expected) < 1e-5, `${losses[0]} and ${expected}`);
});

t.test('the number of threads does not change a bit, the seed does', async (t) => {
  const recipe = { epochs: 1, batch: 8 };
  const outcomes = [];
  for (const threads of [1, 2]) {
    await using own = await loadModel(sentimentMini, { threads });
    outcomes.push(await outcomeOf(own, { recipe }));
  }
  const [one, two] = outcomes as [(typeof outcomes)[0], (typeof outcomes)[0]];
  t.ok(two.weights.equals(one.weights));
  t.strictSame(two.losses, one.losses);
  t.notOk((await outcomeOf(model, { recipe, seed: 1 })).weights.equals(one.weights));
});

t.test('a pruned model stays pruned while it recovers', async (t) => {
  await using pruned = await prune(model, { ...data, keep: 0.5, samples: 24 });
  const { layers } = pruned.model.native.spec;
  await using result = await train(pruned.model, { ...data, recipe: plain(3) });
  const losses = result.report.epochs.map(({ loss }) => loss);
  t.ok((losses[2] as number) < (losses[0] as number), `${losses}`);
  await result.save(path('recovered'));
  await using recovered = await loadModel(path('recovered'));
  t.strictSame(recovered.checkpoint.spec.layers, layers);
  t.ok((await weightsOf(recovered)).equals(await weightsOf(result.model)));
});

for (const [name, tokenPruning] of Object.entries<TokenPruning>({
  thresholds: { rule: 'threshold', values: [0.02, 0.04, 0.06, 0] },
  'keep rates': { rule: 'keepRate', values: [0.9, 0.6, 0.3, 1] },
})) {
  t.test(`a model with ${name} learns while it drops tokens, and goes on to drop them`, async (t) => {
    await using dropping = await loadModel(writeDropping(path(name), tokenPruning));
    await using result = await train(dropping, { ...data, eval: examples, recipe: plain(2) });
    const { epochs, dropping: savings, tokenPruning: reported, ...report } = result.report;
    const expected = await meanLoss(dropping);
    t.ok(Math.abs((epochs[0]?.loss as number) - expected) < 1e-5, `${epochs[0]?.loss} and ${expected}`);
    t.ok(Math.abs(expected - (await meanLoss(dropping, null))) > 1e-4, 'which is not the loss with all tokens');
    t.strictSame(reported, tokenPruning);
    t.ok((savings?.macs as number) < 0.9);
    t.strictSame(epochs.at(-1)?.dropping, savings);
    t.notOk('method' in report, 'it did not come to drop them here');
    await result.save(path(`${name} tuned`));
    await using tuned = await loadModel(path(`${name} tuned`));
    const evaluated = await evaluate(tuned, { ...data, examples });
    t.strictSame([evaluated.metrics, evaluated.dropping], [report.trained, savings]);
  });
}

t.test('a teacher is learnt from beside the labels', async (t) => {
  const recipe = plain(2, 1e-6);
  const noLabels = { labels: 0, logits: 1, hidden: 1 };
  const self = await outcomeOf(model, { recipe: { ...recipe, epochs: 1 }, teacher: model, distillation: noLabels });
  t.ok(Math.abs(self.losses[0] as number) < 1e-6, `the model itself has nothing to teach: ${self.losses[0]}`);

  await using pruned = await prune(model, { ...data, keep: 0.6, samples: 24 });
  const outcome = await outcomeOf(pruned.model, { recipe, teacher: model, distillation: noLabels });
  const [first, second] = outcome.losses as [number, number];
  t.ok(first > 1e-4 && second < first, `${first} to ${second}`);
  const both = await outcomeOf(pruned.model, { recipe, teacher: model });
  const labels = await outcomeOf(pruned.model, { recipe });
  t.ok((both.losses[0] as number) > (labels.losses[0] as number), 'by default both losses are added up');
  t.notOk(both.weights.equals(labels.weights));
});

t.test('a teacher of another shape is refused before anything is read', async (t) => {
  await using other = await loadModel(writeTinyRegression(path('other')), { beside: model });
  await t.rejects(train(model, { ...data, train: 'missing.tsv', teacher: other }), {
    code: 'ERR_OPTION',
    message: "the teacher's problem is regression and the model's classification (give another teacher)",
  });
});

t.test('a new head has learnt nothing, and depends on the seed', async (t) => {
  const options = { newHead: true, recipe: plain(1) };
  const [first, again, other] = [
    await outcomeOf(model, options),
    await outcomeOf(model, options),
    await outcomeOf(model, { ...options, seed: 1 }),
  ];
  t.ok(Math.abs((first.losses[0] as number) - Math.log(2)) < 0.05, `${first.losses[0]}: any label is as likely`);
  t.ok(again.weights.equals(first.weights));
  t.not(other.losses[0], first.losses[0]);
});

t.test("weights are stored in the source's dtype, or in another", async (t) => {
  for (const [dtype, expected] of [
    [undefined, 'f16'],
    ['f32', 'f32'],
    ['bf16', 'bf16'],
  ] as const) {
    await using result = await train(model, { ...data, dtype, recipe: plain(1) });
    await result.save(path(expected));
    await using stored = await loadModel(path(expected));
    t.equal(stored.checkpoint.dtype, expected);
    t.ok((await weightsOf(stored)).equals(await weightsOf(result.model)), 'the result computes with what is stored');
  }
});

t.test('examples without labels, or with those of another task, are refused', async (t) => {
  const run = (label: number | undefined) =>
    train(model, { ...data, train: [...examples, { text: 'Fine.', ...(label !== undefined && { label }) }] });
  await t.rejects(run(undefined), { code: 'ERR_DATA', message: /^example 25 has the label undefined/ });
  await t.rejects(run(2), { code: 'ERR_DATA', message: /^example 25 has the label 2/ });
  await t.rejects(train(model, { ...data, train: path('absent.tsv') }), { code: 'ERR_DATA' });
  await t.rejects(train(model, { ...data, task: 'stsb' }), { code: 'ERR_TASK' });
});

t.test('training that goes astray says so', async (t) => {
  await t.rejects(train(model, { ...data, recipe: plain(3, 1e30) }), { code: 'ERR_NON_FINITE' });
});

t.test('an abort ends training, and nothing is written before an epoch is over', async (t) => {
  const abort = new AbortController();
  const onProgress = ({ stage, done }: ProgressEvent) => {
    if (stage === 'train 1/3' && done === 2) abort.abort();
  };
  const options = { ...data, recipe: { epochs: 3, batch: 8 }, resume: path('aborted'), signal: abort.signal };
  await t.rejects(train(model, { ...options, onProgress }), { code: 'ERR_CANCELLED' });
  t.notOk(existsSync(path('aborted')));
  await t.rejects(train(model, { ...options, signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' });
});

t.test('a training that was stopped goes on to the very same end, and only with the same settings', async (t) => {
  const recipe = { epochs: 3, batch: 8 };
  const whole = await outcomeOf(model, { recipe });
  const abort = new AbortController();
  const resume = path('state');
  const stages = new Set<string>();
  const stop = ({ stage, done }: ProgressEvent) => {
    if (stage === 'train 2/3' && done === 2) abort.abort();
  };
  const stopped = outcomeOf(model, { recipe, resume, signal: abort.signal, onProgress: stop });
  await t.rejects(stopped, { code: 'ERR_CANCELLED' });
  t.strictSame(readdirSync(resume).sort(), ['state.json', 'step-3.safetensors']);

  await using other = await loadModel(sentimentMini);
  for (const different of [
    { seed: 1 },
    { recipe: { ...recipe, learningRate: 1e-5 } },
    { train: examples.slice(1) },
    { train: examples.map((example, n) => (n === 0 ? { ...example, label: 1 - Number(example.label) } : example)) },
    { train: examples.map((example, n) => (n === 0 ? { ...example, text: 'Another.' } : example)) },
    { maxLength: 20 },
    { newHead: true },
    { teacher: other },
  ] satisfies Partial<TrainOptions>[]) {
    await t.rejects(
      outcomeOf(model, { recipe, resume, ...different }),
      { code: 'ERR_OUTPUT', message: /holds a training with other settings/ },
      Object.keys(different)[0],
    );
  }

  const goOn = () => outcomeOf(model, { recipe, resume, onProgress: ({ stage }) => stages.add(stage) });
  const resumed = await goOn();
  t.strictSame([...stages], ['train 2/3', 'train 3/3']);
  t.strictSame(resumed.losses, whole.losses);
  t.ok(resumed.weights.equals(whole.weights));
  stages.clear();
  t.ok((await goOn()).weights.equals(whole.weights), 'and once more, from the end');
  t.equal(stages.size, 0);
});

t.test('a training goes on only with the model that it began with', async (t) => {
  const place = path('place');
  const resume = path('begun here');
  const recipe = { epochs: 1, batch: 8 };
  const trainAt = async (values: number[]) => {
    await using at = await loadModel(writeDropping(place, { rule: 'keepRate', values }));
    return await outcomeOf(at, { recipe, resume });
  };
  await trainAt([0.9, 0.9, 0.9, 0.9]);
  await t.rejects(trainAt([0.5, 0.5, 0.5, 0.5]), {
    code: 'ERR_OUTPUT',
    message: /holds a training with other settings/,
  });
});

t.test('a training that goes on counts the seconds before', async (t) => {
  const options = { ...data, recipe: { epochs: 2, batch: 8 }, resume: path('timed') };
  await using first = await train(model, options);
  await using again = await train(model, options);
  const { train: trained, total } = first.report.seconds;
  t.ok(trained > 0 && total > trained);
  t.equal(again.report.seconds.train, trained, 'no step is taken again');
  t.ok(again.report.seconds.total > trained);
});

t.test('what the last step led astray is no result', async (t) => {
  const recipe = { ...plain(1), learningRate: 1e30 };
  await t.rejects(train(model, { ...data, recipe }), { code: 'ERR_NON_FINITE' });
});

t.test('a regression learns values', async (t) => {
  await using regression = await loadModel(writeTinyRegression(path('regression')));
  const rated = examples.map((example) => ({ ...example, pair: 'good', label: 3 * Number(example.label) + 1 }));
  const recipe = { epochs: 20, batch: 8, learningRate: 5e-3 };
  const { losses } = await outcomeOf(regression, { task: 'stsb', train: rated, recipe });
  t.ok((losses.at(-1) as number) < 0.5 * (losses[0] as number), `${losses[0]} to ${losses.at(-1)}`);
});

t.test('question answering learns to find answers', async (t) => {
  await using reader = await loadModel(writeTinyQuestionAnswering(path('reader')));
  const recipe = { epochs: 60, batch: 4, learningRate: 1e-2, dropout: 0 };
  const options = { task: 'squad', train: questions, eval: questions, maxLength: 64 };
  await using result = await train(reader, { ...options, recipe });
  const { epochs, dense, trained } = result.report;
  t.ok((epochs.at(-1)?.loss as number) < 0.5 * (epochs[0]?.loss as number), `${epochs.at(-1)?.loss}`);
  t.ok((trained?.f1 as number) > (dense?.f1 as number), `${dense?.f1} to ${trained?.f1}`);
  await result.save(path('reader tuned'));
  await using tuned = await loadModel(path('reader tuned'));
  t.strictSame((await evaluate(tuned, { examples: questions, maxLength: 64 })).metrics, trained);
});
