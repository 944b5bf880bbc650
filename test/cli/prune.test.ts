import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runCli } from '../support/cli.js';
import { demoData, sentimentMini } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';

const directory = temporaryDirectory();
const data = ['--task', 'sst2', '--train', demoData('train'), '--eval', demoData('eval')];
const json = async (args: string[]) => {
  const { status, stdout, stderr } = await runCli([...args, '--json', '--quiet', '--threads', '2']);
  t.equal(status, 0, stderr);
  return JSON.parse(stdout);
};

const golden = {
  espalier: {
    steps: ['gradients', 'curves', 'allocate', 'reconstruct'],
    stages: ['allocate', 'reconstruct'],
    accuracy: 0.852,
    layers: [
      { heads: 6, neurons: 432 },
      { heads: 6, neurons: 192 },
      { heads: 6, neurons: 128 },
      { heads: 5, neurons: 32 },
    ],
  },
  kwon: {
    steps: ['gradients', 'search', 'rearrange', 'tune'],
    stages: ['search', 'rearrange', 'tune'],
    accuracy: 0.858,
    layers: [360, 71, 83, 203].map((neurons) => ({ heads: 6, neurons })),
  },
};

const reports: Record<string, Awaited<ReturnType<typeof json>>> = {};
for (const [preset, expected] of Object.entries(golden)) {
  t.test(`preset ${preset}: the JSON of the contract, with golden figures`, async (t) => {
    const target = join(directory, preset);
    const choice = preset === 'espalier' ? [] : ['--preset', preset];
    const report = await json([
      'prune',
      sentimentMini,
      ...data,
      ...choice,
      '--keep',
      '0.5',
      '--stages',
      '--output',
      target,
    ]);
    reports[preset] = report;
    t.strictSame(Object.keys(report), [
      'command',
      'version',
      'task',
      'preset',
      'seed',
      'device',
      'threads',
      'precision',
      'constraint',
      'achieved',
      'layers',
      'dense',
      'pruned',
      'stages',
      'seconds',
      'output',
    ]);
    t.match(report, {
      command: 'prune',
      version: '0.1.0',
      task: 'sst2',
      preset,
      seed: 0,
      device: 'cpu',
      output: target,
    });
    t.strictSame(report.constraint, { kind: 'macs', keep: 0.5 });
    t.strictSame(Object.keys(report.achieved), ['macs', 'parameters', 'bytes']);
    t.strictSame(Object.keys(report.stages), expected.stages);
    t.strictSame(Object.keys(report.seconds), ['load', ...expected.steps, 'write', 'evaluate', 'total']);
    const { total, ...parts } = report.seconds as Record<string, number>;
    const sum = Object.values(parts).reduce((a, b) => a + b, 0);
    t.ok(sum <= (total as number) + 1e-6, 'the steps take no longer than the whole');
    t.ok(Object.values(parts).every((seconds) => seconds > 0));

    t.strictSame(report.dense, { accuracy: 0.854 });
    t.strictSame(report.pruned, { accuracy: expected.accuracy });
    t.strictSame(report.layers, expected.layers);

    const length = 25.16;
    const neuron = 2 * length * 192;
    const head = 4 * length * 192 * 32 + 2 * length ** 2 * 32;
    const whole = 4 * (6 * head + 768 * neuron);
    t.ok(report.achieved.macs <= 0.5, 'the budget is kept');
    const unused = preset === 'kwon' ? neuron / whole : 0.01;
    t.ok(report.achieved.macs > 0.5 - unused, 'and used up');
  });
}

t.test('reload, evaluate', async (t) => {
  const report = reports.espalier;
  const { output } = report;

  t.test('the output is a checkpoint that evaluates to the same metrics', async (t) => {
    const evaluated = await json(['evaluate', output, '--task', 'sst2', '--eval', demoData('eval')]);
    t.strictSame(evaluated.metrics, report.pruned);
    t.strictSame(readdirSync(output).sort(), [
      'config.json',
      'model.safetensors',
      'modeling_espalier.py',
      'pruning.json',
      'special_tokens_map.json',
      'tokenizer.json',
      'tokenizer_config.json',
      'vocab.txt',
    ]);
    const bytes = statSync(join(output, 'model.safetensors')).size;
    t.ok(bytes < 0.8 * statSync(join(sentimentMini, 'model.safetensors')).size, 'the file is smaller');
    t.ok(bytes >= report.achieved.bytes && bytes < report.achieved.bytes + 20_000, 'weights and a header');
  });

  t.test('pruning.json holds the report', async (t) => {
    const kept = JSON.parse(readFileSync(join(output, 'pruning.json'), 'utf8'));
    const { seconds: _, ...stored } = kept;
    const { seconds: __, ...printed } = report;
    t.strictSame(stored, printed);
  });

  t.test('config.json names the task, so that it need not be given', async (t) => {
    const evaluated = await json(['evaluate', output, '--eval', demoData('eval'), '--limit', '8']);
    t.equal(evaluated.task, 'sst2');
  });

  t.test('an existing output is kept, unless --force is given', async (t) => {
    const again = ['prune', sentimentMini, ...data.slice(0, 4), '--keep', '0.9', '--samples', '64', '--output', output];
    const refused = await runCli(again);
    t.equal(refused.status, 1);
    t.match(refused.stderr, /^espalier: .*espalier exists \(give another directory, or --force to replace it\)\n$/);
    t.strictSame(JSON.parse(readFileSync(join(output, 'pruning.json'), 'utf8')).pruned, report.pruned);

    const replaced = await json([...again, '--force', '--dtype', 'f32']);
    t.ok(replaced.achieved.macs > 0.89);
    t.notHas(replaced, { dense: {} }, 'without --eval there are no metrics');
    t.strictSame(readdirSync(directory), ['espalier', 'kwon']);
  });
});

t.test('a pruned checkpoint can be pruned again', async (t) => {
  const [first, second] = [join(directory, 'first'), join(directory, 'second')];
  const small = [...data, '--samples', '128'];
  const once = await json(['prune', sentimentMini, ...small, '--keep', '0.6', '--output', first]);
  const twice = await json(['prune', first, ...small, '--keep', '0.5', '--output', second]);
  t.strictSame(twice.dense, once.pruned);
  t.ok(twice.achieved.macs <= 0.5);
  const evaluated = await json(['evaluate', second, '--eval', demoData('eval')]);
  t.strictSame(evaluated.metrics, twice.pruned);
});

t.test('the same seed gives the same model, another seed another', async (t) => {
  const run = async (name: string, options: string[]) => {
    const target = join(directory, name);
    await json([
      'prune',
      sentimentMini,
      ...data.slice(0, 4),
      '--keep',
      '0.5',
      '--samples',
      '64',
      '--output',
      target,
      ...options,
    ]);
    return readFileSync(join(target, 'model.safetensors'));
  };
  const [first, again, oneThread, other] = [
    await run('a', []),
    await run('b', []),
    await run('c', ['--threads', '1']),
    await run('d', ['--seed', '1']),
  ];
  t.ok(first.equals(again));
  t.ok(first.equals(oneThread), 'whatever the number of threads');
  t.notOk(first.equals(other));
});

t.test('texts without labels are enough, except for kwon', async (t) => {
  const texts = join(directory, 'texts.txt');
  const lines = readFileSync(demoData('train'), 'utf8').trim().split('\n').slice(1, 100);
  writeFileSync(texts, lines.map((line) => line.split('\t')[0]).join('\n'));
  const prune = ['prune', sentimentMini, '--task', 'sst2', '--train', texts, '--keep', '0.5'];
  const report = await json([...prune, '--output', join(directory, 'unlabelled')]);
  t.ok(report.achieved.macs <= 0.5);
  const refused = await runCli([...prune, '--preset', 'kwon', '--output', join(directory, 'never')]);
  t.equal(refused.status, 1);
  t.match(refused.stderr, /label/);
});

t.test('--report writes a page with the latency before and after, and never over another file unasked', async (t) => {
  const page = join(directory, 'report.html');
  const prune = ['prune', sentimentMini, ...data, '--samples', '32', '--keep', '0.5', '--report', page];
  const report = await json([...prune, '--output', join(directory, 'reported')]);
  t.ok(report.latency.speedup.median > 0);
  const html = readFileSync(page, 'utf8');
  const carried = /<script type="application\/json" id="report">(.*?)<\/script>/.exec(html)?.[1] as string;
  t.strictSame(JSON.parse(carried), report);
  t.match(html, `espalier prune ${sentimentMini} --task sst2`);
  const again = await runCli([...prune, '--output', join(directory, 'never')]);
  t.equal(again.status, 1);
  t.match(again.stderr, /report.html exists/);
});
