import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { readExamples } from '../../src/data/examples.js';
import { readParquet } from '../../src/data/parquet.js';
import { findTask } from '../../src/tasks/task.js';
import { repoRoot } from '../support/paths.js';

const golden = (name: string) => join(repoRoot, 'test/golden/parquet', `${name}.parquet`);

async function valuesOf(file: string, options?: Parameters<typeof readParquet>[1]): Promise<Record<string, unknown>[]> {
  const rows = [];
  for await (const { values } of readParquet(file, options)) rows.push(values);
  return rows;
}

const sentences = ['a charming journey', 'bleak é 🙂', '', 'it "works",\nin\ttwo lines', '\ufeffmarked', 'bleak é 🙂'];
const labels = [1, 0, 1, 1, 0, 0];
const expected = sentences.map((sentence, row) => ({
  sentence,
  label: labels[row],
  score: [0.5, 1, null, 2.25, -1.5, 1e-3][row],
  small: labels[row],
  large: ['9007199254740993', '-9223372036854775808', 5, null, 0, 1][row],
  flag: [true, false, true, null, false, false][row],
  category: ['x', 'y', 'x', 'x', null, 'y'][row],
}));

for (const name of ['plain', 'dictionary', 'snappy', 'zstd', 'gzip', 'brotli', 'pages-v2', 'groups', 'delta']) {
  t.test(`every type of value, nulls too, and no lists: ${name}`, async (t) => {
    t.strictSame(await valuesOf(golden(name)), expected);
  });
}

t.test('examples of a task, labelled by integers, floats or booleans', async (t) => {
  const examples = sentences.map((text, row) => ({ text, label: labels[row] }));
  t.same(await readExamples(golden('snappy'), findTask('sst2')), examples);
  t.same(await readExamples(golden('zstd'), findTask('sst2'), { label: 'small' }), examples);
  await t.rejects(readExamples(golden('zstd'), findTask('sst2'), { label: 'large' }), {
    code: 'ERR_DATA',
    message: /zstd\.parquet, row 1: label "9007199254740993" is unknown/,
  });
  await t.rejects(readExamples(golden('zstd'), findTask('sst2'), { label: 'flag' }), {
    code: 'ERR_DATA',
    message: /zstd\.parquet, row 4: label null is unknown/,
  });
  await t.rejects(readExamples(golden('zstd'), findTask('sst2'), { text: 'tokens' }), {
    code: 'ERR_DATA',
    message: /row 1: no column "tokens", only "sentence", "label"/,
  });
});

t.test("SQuAD as data sets store it: a structure of lists holds a question's answers", async (t) => {
  const rows = await valuesOf(golden('squad'));
  t.same(
    rows.map(({ answers }) => answers),
    [
      { text: ['journey'], answer_start: [11] },
      { text: [], answer_start: [] },
      { text: ['it', 'two'], answer_start: [0, 15] },
      { text: ['a'], answer_start: [0] },
    ],
  );
  const examples = await readExamples(golden('squad'), findTask('squad_v2'));
  t.match(examples[0], {
    id: 'q0',
    text: 'What is charming?',
    pair: sentences[0],
    label: [{ text: 'journey', start: 11 }],
  });
  t.same(examples[1]?.label, []);
});

t.test('rows are read as they are asked for', async (t) => {
  const rows = readParquet(golden('groups'));
  t.match((await rows.next()).value, { where: 'row 1', values: { label: 1 } });
  await rows.return(undefined);
  t.same(await rows.next(), { value: undefined, done: true });
});

t.test('what is not supported is refused by name', async (t) => {
  await t.rejects(valuesOf(golden('delta-strings')), {
    code: 'ERR_DATA',
    message: /DELTA_BYTE_ARRAY is not supported/,
  });
  await t.rejects(valuesOf(golden('lz4')), { code: 'ERR_DATA', message: /unsupported compression codec: LZ4/ });
});

t.test('a run longer than its page is refused before it fills memory', async (t) => {
  await t.rejects(valuesOf(golden('bomb')), { code: 'ERR_DATA', message: /a page has more values than it says/ });
});

t.test('a file that would be decoded for ever is given up', async (t) => {
  await t.rejects(valuesOf(golden('endless'), { seconds: 1 }), {
    code: 'ERR_DATA',
    message: /took over 1 s to decode \(write smaller row groups\)/,
  });
});

t.test('an aborted signal ends the decoding at once', async (t) => {
  const signal = AbortSignal.timeout(300);
  await t.rejects(valuesOf(golden('endless'), { signal }), { code: 'ERR_CANCELLED' });
  await t.rejects(readExamples(golden('plain'), findTask('sst2'), {}, { signal }), { code: 'ERR_CANCELLED' });
});

const sound = readFileSync(golden('plain'));
const bad: [string, Buffer, RegExp][] = [
  ['an empty file', Buffer.alloc(0), /parquet/],
  ['a file of its magic alone', Buffer.from('PAR1PAR1'), /parquet/],
  ['a text', Buffer.from('sentence\tlabel\na\t1\n'), /parquet/],
  ['a file cut short', sound.subarray(0, -1), /footer != PAR1/],
  ['a file without its beginning', sound.subarray(100), /parquet/],
  ['invalid UTF-8', replaced('charming', 'charm\xffng'), /invalid UTF-8 in a column of texts/],
];

function replaced(old: string, text: string): Buffer {
  const bytes = Buffer.from(sound);
  bytes.write(text, bytes.indexOf(old), 'latin1');
  return bytes;
}

for (const [what, bytes, message] of bad) {
  t.test(`${what}: ERR_DATA`, async (t) => {
    const file = join(t.testdir(), 'bad.parquet');
    writeFileSync(file, bytes);
    const error = await valuesOf(file).catch((reason) => reason);
    t.match(error, { name: 'EspalierError', code: 'ERR_DATA', message });
    t.ok(error.message.startsWith(`${file} cannot be read as parquet: `), error.message);
    t.notMatch(error.message, /\n/, 'is one line');
  });
}

t.test('what is no regular file: ERR_DATA', async (t) => {
  await t.rejects(valuesOf('lost.parquet'), { code: 'ERR_DATA', message: /cannot read lost\.parquet: ENOENT/ });
  await t.rejects(valuesOf(t.testdir()), { code: 'ERR_DATA', message: /is no regular file/ });
  await t.rejects(valuesOf('-'), { code: 'ERR_DATA', message: /^- is no regular file, which parquet needs/ });
});

t.test('a spoilt file is decoded, refused or given up, and the process lives on', async (t) => {
  const rounds = 2000;
  const counts = { read: 0, refused: 0 };
  const names = ['plain', 'dictionary', 'snappy', 'zstd', 'gzip', 'brotli', 'pages-v2', 'groups', 'delta', 'squad'];
  const files = names.map((name) => readFileSync(golden(name)));
  for (let first = 0; first < rounds; ) {
    const workerData = { files, seed: 7, first, rounds };
    const worker = new Worker(new URL('./support/parquet-fuzz-worker.js', import.meta.url), { workerData });
    const giveUp = () => setTimeout(() => void worker.terminate(), 5000);
    let watch = giveUp();
    worker.on('message', ({ round, rows }) => {
      clearTimeout(watch);
      watch = giveUp();
      if (round !== undefined) first = round + 1;
      else if (rows < 0) counts.refused++;
      else counts.read++;
    });
    await once(worker, 'exit');
    clearTimeout(watch);
  }
  t.ok(counts.read > 100 && counts.refused > 100, `${counts.read} read, ${counts.refused} refused, of ${rounds}`);
});
