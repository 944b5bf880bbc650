import t from 'tap';
import type { Example } from '../../src/data/examples.js';
import { sampleIndices } from '../../src/data/sample.js';
import { drawCalibration, drawSequences, drawUnlabelled } from '../../src/tasks/calibration.js';
import { findTask } from '../../src/tasks/task.js';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { sentimentMini } from '../support/paths.js';

const tokenizer = await loadTokenizer(sentimentMini);

t.test('examples of one sequence are drawn as their indices are', async (t) => {
  const examples = Array.from({ length: 9 }, (_, index) => ({ text: 'fine '.repeat(index + 1), label: index % 2 }));
  const options = { maxLength: 8, samples: 40, seed: 3 };
  const { batch, labels } = await drawCalibration(examples, findTask('sst2'), tokenizer, options);
  const drawn = [...sampleIndices(9, 40, 3)];
  t.strictSame(
    labels,
    Int32Array.from(drawn, (index) => index % 2),
  );
  const lengths = drawn.map((_, sample) => (batch.offsets[sample + 1] as number) - (batch.offsets[sample] as number));
  t.strictSame(
    lengths,
    drawn.map((index) => Math.min(8, index + 3)),
  );
});

t.test('the same draw without labels gives the same sequences', async (t) => {
  const examples = ['Fine.', 'Not all that bad.', 'A bore.'].map((text) => ({ text, label: 1 }));
  const [task, options] = [findTask('sst2'), { maxLength: 8, samples: 12, seed: 3 }];
  const { batch } = await drawCalibration(examples, task, tokenizer, options);
  t.strictSame(
    drawSequences(examples, task, tokenizer, options).flatMap(({ ids }) => ids),
    [...batch.ids],
  );
});

t.test('values of a regression stay floats', async (t) => {
  const { labels } = await drawCalibration([{ text: 'a', pair: 'b', label: 2.5 }], findTask('stsb'), tokenizer, {
    maxLength: 8,
    samples: 2,
    seed: 0,
  });
  t.strictSame(labels, Float32Array.of(2.5, 2.5));
});

t.test('of a long context every window is drawn as often as a short one’s only window', async (t) => {
  const pair = `${'Nobody knows. '.repeat(12)}It was built in 1912.`;
  const start = pair.indexOf('1912');
  const examples: Example[] = [
    { text: 'When?', pair, label: [{ text: '1912', start }] },
    { text: 'When?', pair: 'In 1912.', label: [{ text: '1912', start: 3 }] },
  ];
  const task = findTask('squad');
  const maxLength = 24;
  const windows = examples.flatMap((example) => task.encode(example, tokenizer, maxLength));
  t.ok(windows.length > 3);
  const samples = 4000;
  const { batch, labels } = await drawCalibration(examples, task, tokenizer, { maxLength, samples, seed: 0 });
  t.equal(labels.length, 2 * samples);
  const counts = new Map<string, number>();
  for (let sample = 0; sample < samples; sample++) {
    const ids = batch.ids.slice(batch.offsets[sample], batch.offsets[sample + 1]);
    const key = `${ids.join()}: ${labels.slice(2 * sample, 2 * sample + 2).join()}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const expected = windows.map((window, index) => {
    const example = examples[index === windows.length - 1 ? 1 : 0] as Example;
    return `${window.ids.join()}: ${task.targets(example.label as [], window).join()}`;
  });
  t.strictSame([...counts.keys()].sort(), [...new Set(expected)].sort(), 'the windows with their own labels');
  const share = samples / windows.length;
  const only = counts.get(expected.at(-1) as string) as number;
  t.ok(Math.abs(only - share) < 5 * Math.sqrt(share), `${only} of ${samples}, ${windows.length} windows`);
});

t.test('unlabelled examples and aborted draws are refused', async (t) => {
  const options = { maxLength: 8, samples: 2, seed: 0 };
  await t.rejects(drawCalibration([{ text: 'a' }], findTask('sst2'), tokenizer, options), { code: 'ERR_DATA' });
  const signal = AbortSignal.abort();
  await t.rejects(drawCalibration([{ text: 'a', label: 1 }], findTask('sst2'), tokenizer, { ...options, signal }), {
    code: 'ERR_CANCELLED',
  });
});

t.test('without labels, every sequence is drawn at most once', async (t) => {
  const task = findTask('squad');
  const examples: Example[] = [
    { text: 'When?', pair: `${'Nobody knows. '.repeat(12)}It was built in 1912.` },
    { text: 'Who?', pair: 'In 1912.' },
  ];
  const maxLength = 24;
  const windows = examples.flatMap((example) => task.encode(example, tokenizer, maxLength));
  const all = await drawUnlabelled(examples, task, tokenizer, { maxLength, samples: 100, seed: 0 });
  t.equal(all.offsets.length - 1, windows.length);
  t.strictSame(
    [...all.ids],
    windows.flatMap(({ ids }) => [...ids]),
  );
  const some = await drawUnlabelled(examples, task, tokenizer, { maxLength, samples: 2, seed: 0 });
  t.equal(some.offsets.length - 1, 2);
});
