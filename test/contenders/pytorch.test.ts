import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { type BenchOptions, bench, loadModel, prune } from '../../src/index.js';
import { randomBatch } from '../../src/latency/measure.js';
import { runCli } from '../support/cli.js';
import { demoData, sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';
import { writeTinyQuestionAnswering } from '../support/tiny-question-answering.js';
import { type FakeAnswers, writeExecutable, writeFakePython } from './support/fake-python.js';

const directory = temporaryDirectory();
const path = (name: string) => join(directory, name);
const model = await loadModel(sentimentMini);
const batch = randomBatch(model.checkpoint.spec, [4, 4]);
const logits = [...(await model.native.forward(batch))];
const right = `{ logits: ${JSON.stringify(logits)} }`;

const options = { against: 'pytorch', batches: [2], lengths: [4], rounds: 2 } as const;
const benchFake = (name: string, answers: FakeAnswers, more: BenchOptions = {}) =>
  bench(model, { ...options, python: writeFakePython(path(name), answers), ...more });
const pidFile = path('pid');
/** An answer that never comes. */
const hang = `writeFileSync(${JSON.stringify(pidFile)}, String(process.pid))`;

async function readPid(): Promise<number> {
  while (!existsSync(pidFile) || readFileSync(pidFile, 'utf8') === '') await delay(20);
  return Number(readFileSync(pidFile, 'utf8'));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Whether a process ends within seconds. */
async function ends(pid: number): Promise<boolean> {
  for (let wait = 0; wait < 500 && isAlive(pid); wait++) await delay(20);
  return !isAlive(pid);
}

t.beforeEach(() => writeFileSync(pidFile, ''));

t.test('the seconds are those that PyTorch took by its own clock', async (t) => {
  const { against, rows } = await benchFake('right', { logits: right });
  t.equal(against, 'torch 2.0.0');
  t.equal(rows.length, 1);
  t.match(rows[0], {
    tokens: 8,
    paddedTokens: 8,
    against: { tokensPerSecond: 16, latency: { lowest: 0.5, median: 0.5, highest: 0.5 } },
  });
});

t.test('other logits than the engine computes are an error that says by how much', async (t) => {
  const wrong = `{ logits: ${JSON.stringify(logits.map((logit) => logit + 0.5))} }`;
  await t.rejects(benchFake('wrong', { logits: wrong }), {
    code: 'ERR_INTERNAL',
    message: /^logits of torch 2\.0\.0 and of espalier differ by 0\.500, the largest being [\d.]+ \(.+\)$/,
  });
});

const failures: [what: string, FakeAnswers, message: RegExp][] = [
  [
    'its own error',
    { load: `{ error: 'OSError: no\\nfile' }` },
    /^PyTorch does not run in ".+": OSError: no file \(give --p/,
  ],
  ['an end while it loads', { load: 'process.exit(7)' }, /it ended with exit code 7 \(give --python PATH, .+\)$/],
  ['nonsense', { load: '3' }, /it answered "3" \(give --python PATH, .+\)$/],
  [
    'a crash later',
    { run: `process.kill(process.pid, 'SIGSEGV')` },
    /^PyTorch failed: it ended with SIGSEGV \(is there/,
  ],
  [
    'a crash in the middle',
    { logits: right, run: `count < 2 ? { seconds: 1 } : process.exit(1)` },
    /^PyTorch failed: it ended with exit code 1 \(is there enough memory\? .+\)$/,
  ],
];
for (const [index, [what, answers, message]] of failures.entries()) {
  t.test(`${what} is one clear error`, async (t) => {
    await t.rejects(benchFake(`failure${index}`, answers), { code: 'ERR_OPTION', message });
  });
}

t.test('the last line that a Python leaves behind is the reason', async (t) => {
  const code = `console.error("Traceback:\\n  File\\nSyntaxError: too old"); process.exit(1);`;
  const python = writeExecutable(path('old'), code);
  await t.rejects(bench(model, { ...options, python }), {
    code: 'ERR_OPTION',
    message: /: SyntaxError: too old \(give --python PATH, a Python that has torch and transformers\)$/,
  });
});

t.test('a program that shuts its output and lives on is not waited for', async (t) => {
  const python = writeExecutable(path('mute'), "require('node:fs').closeSync(1); setInterval(() => {}, 1000);");
  const message = /it ended with SIGKILL \(give --python PATH, .+\)$/;
  await t.rejects(bench(model, { ...options, python }), { code: 'ERR_OPTION', message });
});

t.test('what is no program at all is one clear error', async (t) => {
  for (const python of ['/absent/python', sentimentMini, join(sentimentMini, 'config.json', 'python'), '']) {
    await t.rejects(bench(model, { ...options, python }), { code: 'ERR_OPTION', message: /^PyTorch does not run in / });
  }
});

t.test('aborting ends the process, whatever it is at', async (t) => {
  for (const request of ['load', 'run', 'logits']) {
    writeFileSync(pidFile, '');
    const controller = new AbortController();
    const running = benchFake(`hang-${request}`, { [request]: hang }, { signal: controller.signal });
    const pid = await readPid();
    controller.abort();
    await t.rejects(running, { code: 'ERR_CANCELLED' });
    t.ok(await ends(pid));
  }
});

t.test('SIGINT ends the command and the process', async (t) => {
  const python = writeFakePython(path('stuck'), { run: hang });
  const args = ['bench', sentimentMini, '--against', 'pytorch', '--python', python, '--quiet'];
  const running = runCli(args, { onStart: (child) => void readPid().then(() => child.kill('SIGINT')) });
  const pid = await readPid();
  t.equal((await running).status, 130);
  t.ok(await ends(pid));
});

const hasPython = spawnSync('python3', ['--version']).status === 0;

t.test('the script', { skip: !hasPython && 'no python3' }, async (t) => {
  /** Runs the command with a module in torch's place. */
  const runWithTorch = (torch: string, onStart?: Parameters<typeof runCli>[1]) => {
    writeFileSync(path('torch.py'), torch);
    const env = { PYTHONPATH: directory, PYTHONDONTWRITEBYTECODE: '1' };
    return runCli(['bench', sentimentMini, '--against', 'pytorch', '--quiet'], { env, ...onStart });
  };

  t.test('says what is missing', async (t) => {
    const { status, stderr } = await runWithTorch(
      `print("hello")\nraise ModuleNotFoundError("No module named 'torch'")`,
    );
    t.equal(status, 2);
    t.equal(
      stderr,
      `espalier: PyTorch does not run in "python3": ModuleNotFoundError: No module named 'torch' (give --python PATH, a Python that has torch and transformers)\n`,
    );
  });

  t.test('ends with the process that started it, whatever it is doing', async (t) => {
    const slow = `import os, time\nopen(${JSON.stringify(pidFile)}, "w").write(str(os.getpid()))\ntime.sleep(600)`;
    const running = runWithTorch(slow, { onStart: (child) => void readPid().then(() => child.kill('SIGKILL')) });
    const pid = await readPid();
    t.equal((await running).status, 'SIGKILL');
    t.ok(await ends(pid));
  });
});

const python = process.env.ESPALIER_PYTHON ?? 'python3';
const hasTorch = spawnSync(python, ['-c', 'import torch, transformers']).status === 0;

t.test(
  'PyTorch computes the logits of a dense model, a pruned one and one for question answering',
  { skip: !hasTorch && 'no Python with torch and transformers (set ESPALIER_PYTHON)' },
  async (t) => {
    await using result = await prune(model, { task: 'sst2', train: demoData('train'), samples: 32, keep: 0.4 });
    await result.save(path('pruned'));
    await using pruned = await loadModel(path('pruned'));
    await using answering = await loadModel(writeTinyQuestionAnswering(path('squad')));
    for (const other of [model, pruned, answering]) {
      const { against, rows } = await bench(other, { ...options, python, lengths: [20] });
      t.match(against, /^torch \d/);
      t.ok((rows[0]?.against?.latency.lowest ?? 0) > 0);
    }
    await t.rejects(
      bench(result.model, { ...options, python }),
      { code: 'ERR_INTERNAL' },
      'its directory is the dense one',
    );
  },
);
