import { once } from 'node:events';
import { join } from 'node:path';
import t from 'tap';
import { runCli } from '../support/cli.js';
import { repoRoot, sentimentMini } from '../support/paths.js';

const predict = ['predict', sentimentMini];
const texts = ['What a lovely surprise!', 'A complete mess.', 'Hm.'];
const jsonLines = (stdout: string) =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

t.test('texts as arguments: label, probability and the text', async (t) => {
  const { status, stdout } = await runCli([...predict, ...texts]);
  t.equal(status, 0);
  const lines = stdout.trimEnd().split('\n');
  t.match(lines[0], /^positive\t0\.99\d\d\tWhat a lovely surprise!$/);
  t.match(lines[1], /^negative\t0\.99\d\d\tA complete mess\.$/);
  t.equal(lines.length, 3);
});

t.test('lines of standard input give what arguments give, as JSON lines', async (t) => {
  const fromArguments = await runCli([...predict, '--json', ...texts]);
  const fromInput = await runCli([...predict, '--json'], { input: texts.join('\r\n') });
  t.equal(fromInput.stdout, fromArguments.stdout);
  const [first] = jsonLines(fromInput.stdout);
  t.strictSame(Object.keys(first), ['text', 'label', 'probability', 'probabilities']);
  t.match(first, { text: texts[0], label: 'positive' });
  t.equal(first.probability, first.probabilities[1]);
});

t.test('every line has its answer: empty ones, and more than fit in one pass', async (t) => {
  const input = `\n${'Fine.\n'.repeat(70)}`;
  const lines = jsonLines((await runCli([...predict, '--json'], { input })).stdout);
  t.equal(lines.length, 71);
  t.equal(lines[0].text, '');
  const probabilities = new Set(lines.slice(1).map((line) => line.probability));
  t.equal(probabilities.size, 1, 'the same text has the same answer wherever it stands');
});

t.test('a tab separates the texts of a pair', async (t) => {
  const [answer] = jsonLines((await runCli([...predict, '--json', 'How is it?\tIt is good.'])).stdout);
  t.match(answer, { text: 'How is it?', pair: 'It is good.' });
});

const directory = t.testdir({
  'reviews.csv': 'id,review,stars\n1,"What a lovely\nsurprise!",5\n2,A complete mess.,\n',
  'reviews.txt': 'What a lovely surprise!\n\nA complete mess.\n',
  'reviews.data': '{"review": "What a lovely surprise!"}\n',
});

t.test('a file of any format, with or without labels', async (t) => {
  const csv = [...predict, '--input', join(directory, 'reviews.csv'), '--text-column', 'review'];
  const plain = await runCli(csv);
  t.match(plain.stdout, /^positive\t0\.\d{4}\tWhat a lovely surprise!\nnegative\t0\.\d{4}\tA complete mess\.\n$/);
  const [first, second] = jsonLines((await runCli([...csv, '--json'])).stdout);
  t.match(first, { text: 'What a lovely\nsurprise!', label: 'positive' });
  t.match(second, { text: 'A complete mess.', label: 'negative' });
  const text = jsonLines((await runCli([...predict, '--input', join(directory, 'reviews.txt'), '--json'])).stdout);
  t.same(
    text.map((line) => line.text),
    ['What a lovely surprise!', '', 'A complete mess.'],
  );
  const parquet = join(repoRoot, 'test/golden/parquet/snappy.parquet');
  const rows = jsonLines((await runCli([...predict, '--task', 'sst2', '--input', parquet, '--json'])).stdout);
  t.equal(rows.length, 6);
  t.match(rows[1], { text: 'bleak é 🙂' });
});

t.test('a second column makes pairs', async (t) => {
  const columns = ['--text-column', 'a', '--pair-column', 'b'];
  const input = '{"a": "How is it?", "b": "It is good."}\n';
  const args = [...predict, '--json', '--input', '-', '--format', 'jsonl', ...columns];
  t.match(jsonLines((await runCli(args, { input })).stdout), [{ text: 'How is it?', pair: 'It is good.' }]);
});

t.test('--format stands above the extension, and says what standard input is', async (t) => {
  const columns = ['--text-column', 'review', '--json'];
  const data = [...predict, '--input', join(directory, 'reviews.data'), ...columns];
  t.match(jsonLines((await runCli([...data, '--format', 'jsonl'])).stdout), [{ text: 'What a lovely surprise!' }]);
  t.match((await runCli(data)).stderr, /unknown extension "\.data"/);
  const { status, stderr } = await runCli([...predict, '--input', '-', '--json'], { input: 'text\nFine.\n' });
  t.equal(status, 1);
  t.match(stderr, /the format of standard input is not known \(give --format: tsv, csv, jsonl, json, parquet, txt\)/);
  const tsv = await runCli([...predict, '--format', 'tsv', '--json'], { input: 'text\nFine.\n' });
  t.match(jsonLines(tsv.stdout), [{ text: 'Fine.' }]);
});

t.test('bad input ends with one line, after the answers to all before it', async (t) => {
  const input = '{"text": "Fine."}\n{"text": "Great."}\n{"text": 5}\n{"text": "Fine."}\n';
  const { status, stdout, stderr } = await runCli([...predict, '--input', '-', '--format', 'jsonl'], { input });
  t.equal(status, 1);
  t.match(stderr, /^espalier: -, line 3: column "text" holds 5, no text\n$/);
  t.match(stdout, /^positive\t.*Fine\.\npositive\t.*Great\.\n$/);
});

t.test('a line that a task leaves out elsewhere is refused: the answers are those of all lines', async (t) => {
  const input = 'id\tquestion1\tquestion2\n0\tIs it fine?\tIs it good?\n1\tIs it\n2\tIs it?\tIt is.\n';
  const args = [...predict, '--task', 'qqp', '--format', 'tsv', '--json'];
  const { status, stdout, stderr } = await runCli(args, { input });
  t.equal(status, 1);
  t.match(stderr, /^espalier: -, line 3: 2 fields under a header of 3 columns\n$/);
  t.match(jsonLines(stdout), [{ text: 'Is it fine?', pair: 'Is it good?' }]);
});

t.test('an answer comes as soon as its line is there', async (t) => {
  let seen = '';
  const { status } = await runCli(predict, {
    input: null,
    onStart: ({ stdin, stdout }) => {
      stdin?.write('Fine.\n');
      stdout?.on('data', (data) => {
        seen += data;
        stdin?.end();
      });
    },
  });
  t.equal(status, 0);
  t.match(seen, /^positive\t.*Fine\.\n$/);
});

t.test('no input, no output', async (t) => {
  const { status, stdout } = await runCli(predict, { input: '' });
  t.equal(status, 0);
  t.equal(stdout, '');
});

t.test('a reader that goes away is no failure', async (t) => {
  const { status, stderr } = await runCli([...predict, '--json'], {
    input: 'Fine.\n'.repeat(20_000),
    onStart: (child) => void once(child.stdout as NodeJS.ReadableStream, 'data').then(() => child.stdout?.destroy()),
  });
  t.equal(status, 0);
  t.equal(stderr, '');
});
