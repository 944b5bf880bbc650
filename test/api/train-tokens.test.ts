import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  evaluate,
  loadModel,
  type ProgressEvent,
  predict,
  prune,
  type TrainTokensOptions,
  trainTokens,
} from '../../src/index.js';
import { trainingMethods } from '../../src/tokens/methods.js';
import { defaultRecipe } from '../../src/training/recipe.js';
import { demoExamples } from '../data/support/demo.js';
import { sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';
import { questions, writeTinyQuestionAnswering } from '../support/tiny-question-answering.js';
import { settingsOf, writeDropping, writeTinyRegression } from './support/checkpoints.js';

const directory = temporaryDirectory();
const path = (name: string) => join(directory, name);
const examples = demoExamples('train', 32);
const data = { task: 'sst2', train: examples, eval: examples, maxLength: 24 };
const epoch = { epochs: 1, batch: 16 };
const quick = { ...data, soft: epoch, hard: epoch };
const model = await loadModel(sentimentMini);
t.teardown(() => model.dispose());

const stagesOf: Record<string, string[]> = {
  learned: ['soft', 'hard'],
  manual: ['hard'],
  'top-k': ['hard'],
  'length-drop': ['length-drop'],
};

for (const method of trainingMethods) {
  t.test(`${method}: ends at its budget, and the written checkpoint drops what the report says`, async (t) => {
    await using result = await trainTokens(model, { ...quick, method, macs: 0.6 });
    const { report } = result;
    t.match(report, { command: 'tokens train', task: 'sst2', method });
    t.strictSame(
      report.epochs.map(({ stage }) => stage),
      stagesOf[method],
    );
    t.strictSame(Object.keys(report.recipes), stagesOf[method]);
    // Counted on a draw of the training sequences.
    t.ok(Math.abs((report.dropping?.macs as number) - 0.6) < 0.1, `${report.dropping?.macs}`);
    const kept = report.dropping?.keptPerLayer as number[];
    t.ok(kept.every((part, layer) => part > 0 && part <= (kept[layer - 1] ?? 1)));

    await result.save(path(method));
    const { rule, values } = report.tokenPruning as NonNullable<typeof report.tokenPruning>;
    const { token_thresholds: thresholds, token_keep_rates: rates } = settingsOf(path(method));
    t.strictSame([thresholds, rates], rule === 'threshold' ? [values, undefined] : [undefined, values]);
    t.equal(rule, method === 'learned' || method === 'manual' ? 'threshold' : 'keepRate');
    await using loaded = await loadModel(path(method));
    const { metrics, dropping } = await evaluate(loaded, { examples, maxLength: data.maxLength });
    t.strictSame({ metrics, dropping }, { metrics: report.trained, dropping: report.dropping });
    t.notOk('tokenPruning' in model.native.spec, 'the given model drops none');
  });
}

t.test("importance is a mean over a length that suits the data, another one, or each sequence's own", async (t) => {
  const paddedLengthOf = async (paddedLength: number | undefined) => {
    const options = { ...quick, eval: undefined, method: 'manual', macs: 0.6, thresholds: { paddedLength } } as const;
    await using result = await trainTokens(model, options);
    await result.save(path('padded'), { force: true });
    const { tokenPruning } = result.report;
    t.equal(settingsOf(path('padded')).token_padded_length, tokenPruning?.paddedLength);
    return tokenPruning?.paddedLength;
  };
  t.equal(await paddedLengthOf(40), 40);
  t.equal(await paddedLengthOf(0), undefined);
  const lengths = examples.map(({ text }) => Math.min(data.maxLength, model.tokenizer.encode(text).ids.length));
  const usual = (await paddedLengthOf(undefined)) as number;
  t.ok(usual > Math.min(...lengths) && usual < Math.max(...lengths), `${usual}`);
});

t.test('thresholds without a budget stay as they were learnt: the larger lambda, the higher', async (t) => {
  const sums: number[] = [];
  for (const lambda of [0, 1]) {
    await using result = await trainTokens(model, {
      ...quick,
      eval: undefined,
      thresholds: { lambda, learningRate: 5e-3 },
      soft: { epochs: 2, batch: 8, dropout: 0 },
    });
    const { tokenPruning, dropping, epochs } = result.report;
    t.strictSame(tokenPruning?.values, epochs.at(-1)?.thresholds);
    t.strictSame(epochs[1]?.thresholds, epochs[2]?.thresholds, 'while weights adapt thresholds stay');
    t.ok((dropping?.macs as number) < 1, 'what is left is known without evaluation data');
    sums.push(tokenPruning?.values.reduce((sum, value) => sum + value) ?? 0);
  }
  t.ok((sums[1] as number) > (sums[0] as number), `${sums}`);
});

t.test(
  'with a budget masks cost nothing once it is met; while weights adapt all thresholds follow it together',
  async (t) => {
    const thresholdsOf = async (macs: number | undefined) => {
      await using result = await trainTokens(model, {
        ...quick,
        macs,
        thresholds: { learningRate: 2e-3 },
        soft: { epochs: 10, batch: 8, dropout: 0 },
        hard: { epochs: 2, batch: 8, learningRate: 5e-4 },
      });
      return result.report.epochs.map(({ thresholds = [] }) => thresholds);
    };
    const [free, bound] = [await thresholdsOf(undefined), await thresholdsOf(0.8)];
    const sumAt = (epochs: number[][], index: number) => (epochs[index] ?? []).reduce((sum, value) => sum + value);
    t.strictSame(bound[0], free[0]);
    t.ok(sumAt(bound, 8) < 0.95 * sumAt(free, 8), `${bound[8]} beside ${free[8]}`);
    const [soft = [], hard = []] = bound.slice(9);
    const [first, ...others] = hard.map((value, layer) => value / (soft[layer] as number));
    t.not(first, 1);
    t.ok(
      others.every((factor) => Math.abs(factor - (first as number)) < 1e-9),
      `${first} ${others}`,
    );
  },
);

t.test('stages go by recipes of their own, usual where nothing is said', async (t) => {
  const hard = { epochs: 2, batch: 32, learningRate: 1e-5 };
  await using result = await trainTokens(model, { ...quick, macs: 0.7, hard });
  const { recipes, epochs } = result.report;
  t.strictSame(recipes, { soft: { ...defaultRecipe, ...epoch }, hard: { ...defaultRecipe, ...hard } });
  t.strictSame(
    epochs.map(({ stage, epoch }) => `${stage} ${epoch}`),
    ['soft 1', 'hard 1', 'hard 2'],
  );
  t.ok(
    epochs.every(({ metrics, dropping, thresholds }) => metrics && dropping && thresholds?.length === 4),
    'each is evaluated while it drops tokens',
  );
});

t.test('the same seed leads to the same thresholds, another to others', async (t) => {
  const run = async (seed: number) => {
    await using result = await trainTokens(model, { ...quick, seed });
    return result.report.tokenPruning;
  };
  const first = await run(0);
  t.strictSame(await run(0), first);
  t.strictNotSame(await run(1), first);
});

t.test('progress says what is lost and what is kept', async (t) => {
  const notes: string[] = [];
  const onProgress = ({ stage, note }: ProgressEvent) => note && notes.push(`${stage}: ${note}`);
  await using _ = await trainTokens(model, { ...quick, onProgress });
  await using __ = await trainTokens(model, { ...quick, method: 'top-k', macs: 0.6, onProgress });
  t.equal(notes.length, 6);
  for (const note of notes.slice(0, 4)) {
    t.match(
      note,
      /^(soft|hard) 1\/1: loss \d\.\d{4}, tokens kept( \d+){4} %, thresholds( \d\.\d{4}){4}(, nearly every token .*)?$/,
    );
  }
  for (const note of notes.slice(4)) t.match(note, /^hard 1\/1: loss \d\.\d{4}, tokens kept( \d+){4} %$/);
});

t.test('a lambda that leads nowhere is said to, once it shows', async (t) => {
  for (const [lambda, learningRate, warning] of [
    [0, 1e-4, 'nearly every token goes on so far (try a larger lambda)'],
    [1000, 0.2, 'nearly no token goes on already (try a smaller lambda)'],
  ] as const) {
    await using result = await trainTokens(model, {
      ...quick,
      eval: undefined,
      thresholds: { lambda, learningRate },
      soft: { epochs: 2, batch: 4, dropout: 0 },
    });
    t.strictSame(result.report.warnings, [warning], `lambda ${lambda}`);
  }
});

t.test('a pruned model learns to drop tokens, and its units stay away', async (t) => {
  await using pruned = await prune(model, { ...data, eval: undefined, keep: 0.6, samples: 32 });
  await using result = await trainTokens(pruned.model, { ...quick, macs: 0.7, teacher: model });
  await result.save(path('pruned'));
  await using loaded = await loadModel(path('pruned'));
  t.strictSame(loaded.checkpoint.spec.layers, pruned.model.native.spec.layers);
  t.strictSame(loaded.checkpoint.spec.tokenPruning, result.report.tokenPruning);
});

t.test('a model that drops tokens learns to drop others', async (t) => {
  const tokenPruning = { rule: 'keepRate' as const, values: [0.5, 0.5, 0.5, 0.5] };
  await using dropping = await loadModel(writeDropping(path('dropping'), tokenPruning));
  await using result = await trainTokens(dropping, { ...quick, macs: 0.8 });
  t.ok((result.report.dropping?.macs as number) > 0.7, 'the budget is part of all the work');
  await result.save(path('again'));
  t.notOk('token_keep_rates' in settingsOf(path('again')));
  t.strictSame(settingsOf(path('again')).token_thresholds, result.report.tokenPruning?.values);
});

t.test('what cannot be done is refused', async (t) => {
  const run = (options: Partial<TrainTokensOptions>) => trainTokens(model, { ...quick, ...options });
  for (const method of trainingMethods.filter((name) => name !== 'learned')) {
    await t.rejects(run({ method }), { code: 'ERR_OPTION', message: /give --macs too/ });
    await t.rejects(run({ method, macs: 0.01 }), { code: 'ERR_TARGET', message: /ask for more than 0\.01/ });
  }
  const stages: string[] = [];
  const onProgress = ({ stage }: ProgressEvent) => stages.push(stage);
  await t.rejects(run({ macs: 0.01, onProgress }), { code: 'ERR_TARGET', message: /ask for more than 0\.01/ });
  t.notOk(
    stages.some((stage) => stage.startsWith('soft')),
    'before thresholds are learnt for nothing',
  );
  for (const seed of [2 ** 20, 0.5, -1]) await t.rejects(run({ seed }), { code: 'ERR_OPTION', message: /^seed must/ });
  await t.rejects(run({ train: [{ text: 'Fine.' }] }), { code: 'ERR_DATA' });
  await t.rejects(run({ signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' });
});

for (const [method, stop] of [
  ['learned', 'soft 2/2'],
  ['length-drop', 'length-drop 2/2'],
] as const) {
  t.test(`${method}, stopped in ${stop}, goes on to the very same end`, async (t) => {
    const resume = path(`state ${stop}`);
    const two = { epochs: 2, batch: 16 };
    const options = { ...data, eval: undefined, method, macs: 0.7, soft: two, hard: two };
    const outcome = async (more: Partial<TrainTokensOptions>) => {
      await using result = await trainTokens(model, { ...options, ...more });
      const { tokenPruning, epochs } = result.report;
      return { tokenPruning, losses: epochs.map(({ loss }) => loss), answers: await predict(result.model, examples) };
    };
    const whole = await outcome({});
    const abort = new AbortController();
    const onProgress = ({ stage }: ProgressEvent) => stage === stop && abort.abort();
    await t.rejects(outcome({ resume, signal: abort.signal, onProgress }), { code: 'ERR_CANCELLED' });
    t.ok(existsSync(join(resume, 'state.json')));
    await t.rejects(outcome({ resume, macs: 0.8 }), { code: 'ERR_OUTPUT', message: /other settings/ });
    t.strictSame(await outcome({ resume }), whole);
  });
}

t.test('regression and question answering learn to drop tokens', async (t) => {
  const recipe = { epochs: 2, batch: 4 };
  const options = { soft: recipe, hard: recipe, maxLength: 64 };
  await using regression = await loadModel(writeTinyRegression(path('regression')));
  const rated = examples.map(({ text, label }) => ({ text, pair: 'good', label: 5 * Number(label) }));
  const values = await trainTokens(regression, { ...options, task: 'stsb', train: rated, eval: rated, macs: 0.8 });
  const near = (macs: number | undefined) => t.ok(Math.abs((macs as number) - 0.8) < 0.05, `${macs}`);
  near(values.report.dropping?.macs);
  await values.dispose();

  await using reader = await loadModel(writeTinyQuestionAnswering(path('reader')));
  const asked = { task: 'squad', train: questions, eval: questions, macs: 0.8, method: 'top-k' as const };
  await using answers = await trainTokens(reader, { ...options, ...asked });
  near(answers.report.dropping?.macs);
  t.equal((await predict(answers.model, questions)).length, questions.length);
});
