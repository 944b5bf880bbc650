import { once } from 'node:events';
import t from 'tap';
import { runCli } from '../support/cli.js';
import { sentimentMini } from '../support/paths.js';

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
