import t from 'tap';
import { type BenchRow, bench, loadModel, type ProgressEvent, prune } from '../../src/index.js';
import { runCli } from '../support/cli.js';
import { demoData, sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';

const directory = temporaryDirectory();

t.test('a model by itself: every batch size with every length', async (t) => {
  await using model = await loadModel(sentimentMini);
  const events: ProgressEvent[] = [];
  const report = await bench(model, {
    batches: [1, 3],
    lengths: [5, 9],
    rounds: 3,
    onProgress: (event) => events.push(event),
  });
  t.same(
    report.rows.map(({ batch, length, tokens }) => [batch, length, tokens]),
    [
      [1, 5, 5],
      [1, 9, 9],
      [3, 5, 15],
      [3, 9, 27],
    ],
  );
  for (const { latency, tokens, tokensPerSecond, speedup } of report.rows) {
    const { lowest, median, p90, p99, highest } = latency;
    t.ok(0 < lowest && lowest <= median && median <= p90 && p90 <= p99 && p99 <= highest);
    t.equal(tokensPerSecond, tokens / median);
    t.equal(speedup, undefined);
  }
  t.strictSame(events.at(-1), { stage: 'bench', done: 16, total: 16 });
});

t.test('a model against another, with the lengths of texts', async (t) => {
  await using model = await loadModel(sentimentMini);
  await using other = await loadModel(sentimentMini);
  const texts = [{ text: 'Fine.' }];
  const { rows } = await bench(model, { against: other, batches: [4], texts, task: 'sst2', rounds: 3 });
  t.equal(rows.length, 1);
  const [row] = rows as [BenchRow];
  t.equal(row.tokens, 16);
  t.equal(row.length, undefined);
  t.ok(row.against);
  t.ok(row.speedup && row.speedup.lowest <= row.speedup.median && row.speedup.median <= row.speedup.highest);
});

t.test('models on different threads do not compare, and a run can be cancelled', async (t) => {
  await using model = await loadModel(sentimentMini, { threads: 1 });
  await using other = await loadModel(sentimentMini, { threads: 2 });
  await t.rejects(bench(model, { against: other }), { code: 'ERR_OPTION' });
  const signal = AbortSignal.abort();
  await t.rejects(bench(model, { signal }), { code: 'ERR_CANCELLED' });
});

t.test('the command ends with 3 where a speed-up that was expected is missed', async (t) => {
  await using model = await loadModel(sentimentMini);
  await using result = await prune(model, { task: 'sst2', train: demoData('train'), samples: 32, keep: 0.3 });
  await result.save(directory, { force: true });
  const args = ['bench', directory, '--against', sentimentMini, '--batch', '8', '--length', '16,32', '--rounds', '3'];
  const reached = await runCli([...args, '--expect-speedup', '0.001', '--json']);
  t.equal(reached.status, 0, reached.stderr);
  const { command, rows } = JSON.parse(reached.stdout);
  t.equal(command, 'bench');
  t.equal(rows.length, 2);
  const missed = await runCli([...args, '--expect-speedup', '1000', '--quiet']);
  t.equal(missed.status, 3);
  t.match(missed.stderr, /^espalier: [\d.]+ times as fast, 1000 were expected\n$/);
  t.match(missed.stdout, /speed-up/);
});
