import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import type { BenchReport, PruneReport, SweepReport, TokensSweepReport, TrainReport } from '../../src/index.js';
import { benchPage } from '../../src/report/bench-page.js';
import { htmlPage } from '../../src/report/page.js';
import { prunePage } from '../../src/report/prune-page.js';
import { sweepPage } from '../../src/report/sweep-page.js';
import { tokensPage } from '../../src/report/tokens-page.js';
import type { WorkSettings } from '../../src/report/work-settings.js';
import { defaultRecipe } from '../../src/training/recipe.js';
import { temporaryDirectory } from '../support/temporary.js';

const directory = temporaryDirectory();
const run = promisify(execFile);
const hasBrowser = await run('chromium', ['--version']).then(
  () => true,
  () => false,
);

const latency = {
  environment: { cpu: 'A <fast> processor', cores: 2, node: 'v20' },
  batch: 256,
  tokens: 7056,
  dense: { median: 0.2, lowest: 0.19, highest: 0.22, p90: 0.21, p99: 0.22 },
  pruned: { median: 0.1, lowest: 0.09, highest: 0.13, p90: 0.12, p99: 0.13 },
  speedup: { median: 2, lowest: 1.9, highest: 2.1 },
};
const layers = [
  { heads: 3, neurons: 48 },
  { heads: 0, neurons: 16 },
];
const before = [
  { heads: 4, neurons: 64 },
  { heads: 4, neurons: 64 },
];
const work: WorkSettings = {
  model: { checkpoint: 'minilm', sha256: 'e0f1' },
  task: 'mrpc',
  train: { file: 'train.tsv', count: 3668, sha256: '9ab3' },
  precision: 'fp32',
};
const pruneReport: PruneReport = {
  command: 'prune',
  version: '0.1.0',
  task: 'mrpc',
  preset: 'espalier',
  seed: 0,
  device: 'cpu',
  threads: 2,
  precision: 'fp32',
  constraint: { kind: 'macs', keep: 0.5 },
  achieved: { macs: 0.498, parameters: 0.7, bytes: 27_000_000 },
  layers,
  dense: { accuracy: 0.8211, f1: 0.873 },
  stages: { allocate: { accuracy: 0.75, f1: 0.8125 } },
  pruned: { accuracy: 0.8162, f1: 0.86 },
  latency,
  seconds: { load: 0.1, gradients: 3, write: 0, evaluate: 2, total: 6 },
  warnings: ['</script><script>document.title = "broken out"</script>'],
};
const { stages: _, ...budget } = pruneReport;
const sweepReport: SweepReport = {
  command: 'sweep',
  version: '0.1.0',
  settings: {
    ...work,
    preset: 'espalier',
    constraint: 'macs',
    samples: 2048,
    seed: 0,
  },
  device: 'cpu',
  threads: 2,
  precision: 'fp32',
  environment: latency.environment,
  budgets: [
    { keep: 0.5, directory: 'sweep/keep-0.5', report: budget, latency },
    {
      keep: 0.25,
      directory: 'sweep/keep-0.25',
      report: { ...budget, achieved: { ...budget.achieved, macs: 0.2496 }, pruned: { accuracy: 0.79, f1: 0.85 } },
    },
  ],
};
const benchReport: BenchReport = {
  command: 'bench',
  version: '0.1.0',
  device: 'cpu',
  threads: 2,
  precision: 'fp32',
  environment: latency.environment,
  against: 'onnxruntime 1.30.0',
  rounds: 9,
  rows: [32, 256].map((batch) => ({
    batch,
    tokens: 20 * batch,
    paddedTokens: 30 * batch,
    tokensPerSecond: 9000,
    latency: latency.pruned,
    against: { tokensPerSecond: 4500, latency: latency.dense },
    speedup: latency.speedup,
  })),
};
const trainReport = (accuracy: number, f1: number, macs: number, keptPerLayer: number[]): TrainReport => ({
  command: 'tokens train',
  version: '0.1.0',
  task: 'mrpc',
  seed: 0,
  settings: {},
  device: 'cpu',
  threads: 2,
  precision: 'fp32',
  recipes: {},
  epochs: [],
  dense: { accuracy: 0.8211, f1: 0.873 },
  trained: { accuracy, f1 },
  dropping: { macs, keptPerLayer },
  seconds: { load: 0, train: 1, evaluate: 1, write: 0, total: 2 },
});
const tokensReport: TokensSweepReport = {
  command: 'tokens sweep',
  version: '0.1.0',
  settings: {
    ...work,
    eval: { file: 'dev.tsv', count: 408, sha256: '2d5c' },
    newHead: false,
    ...{ lambda: 0.1, temperature: 2e-3, highest: 0.01, learningRate: 5e-4, seed: 0 },
    soft: defaultRecipe,
    hard: defaultRecipe,
  },
  device: 'cpu',
  threads: 2,
  precision: 'fp32',
  environment: latency.environment,
  runs: [
    { name: 'learned-0.7', method: 'learned', macs: 0.7, report: trainReport(0.82, 0.87, 0.69, [1, 0.6]), latency },
    { name: 'top-k-0.7', method: 'top-k', macs: 0.7, report: trainReport(0.81, 0.86, 0.7, [0.8, 0.5]) },
    { name: 'learned-0.5', method: 'learned', macs: 0.5, report: trainReport(0.8, 0.85, 0.5, [0.9, 0.254]), latency },
    { name: 'learned-lambda-0.1', method: 'learned', lambda: 0.1, report: trainReport(0.79, 0.84, 0.4, [0.6, 0.2]) },
  ].map((run) => ({ ...run, directory: `tokens/${run.name}` }) as TokensSweepReport['runs'][0]),
};
const about = { checkpoint: 'mini & lm', layers: before, command: "espalier prune 'mini & lm'" };

/** The page as it is once its script has run. */
async function rendered(name: string, html: string): Promise<string> {
  const file = join(directory, `${name}.html`);
  writeFileSync(file, html);
  const quiet = ['--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  const options = ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${join(directory, 'profile')}`];
  const { stdout } = await run('chromium', [...options, ...quiet, '--dump-dom', `file://${file}`], {
    maxBuffer: 1 << 26,
  });
  return stdout;
}

/** What the marks of each chart say they show. */
const marksOf = (dom: string): string[][] =>
  [...dom.matchAll(/<figure>(.*?)<\/figure>/gs)].map(([figure]) =>
    [...figure.matchAll(/aria-label="([^"]*\d[^"]*)"/g)].map(([, label]) => label as string),
  );

t.test('the page of a pruning run needs nothing but itself, and carries its report along', (t) => {
  const html = htmlPage(prunePage(pruneReport, about));
  t.notMatch(html.replace(/<script type="module">.*/s, ''), /(src|href|url)\s*[=(]/);
  const report = /<script type="application\/json" id="report">(.*?)<\/script>/.exec(html)?.[1] as string;
  t.strictSame(JSON.parse(report), pruneReport);
  t.match(html, '<title>mini &amp; lm, mrpc: 50.0 % of the MACs</title>');
  t.match(html, '<td>accuracy</td><td>0.8211</td><td>0.7500</td><td>0.8162</td>');
  t.match(html, '<pre>espalier prune &#39;mini &amp; lm&#39;</pre>');
  t.match(html, 'A &lt;fast&gt; processor, 2 cores, Node v20');
  t.notMatch(html, '<script>document.title');
  t.end();
});

t.test('a browser draws the charts of a pruning run with the numbers of its report', { skip: skipped() }, async (t) => {
  const dom = await rendered('prune', htmlPage(prunePage(pruneReport, about)));
  t.match(dom, '<title>mini &amp; lm, mrpc: 50.0 % of the MACs</title>', 'nothing broke out of the report');
  t.strictSame(marksOf(dom), [
    [
      'accuracy, dense: 0.8211',
      'f1, dense: 0.873',
      'accuracy, allocate: 0.75',
      'f1, allocate: 0.8125',
      'accuracy, pruned: 0.8162',
      'f1, pruned: 0.86',
    ],
    ['dense: 200 (190 to 220)', 'pruned: 100 (90 to 130)'],
    ['0: 3', '1: 0'],
    ['0: 48', '1: 16'],
  ]);
});

t.test('a browser draws the charts of a sweep with the numbers of its report', { skip: skipped() }, async (t) => {
  const dom = await rendered('sweep', htmlPage(sweepPage(sweepReport, about)));
  t.strictSame(marksOf(dom), [
    ['accuracy, 0.498: 0.8162', 'f1, 0.498: 0.86', 'accuracy, 0.2496: 0.79', 'f1, 0.2496: 0.85'],
    ['accuracy, 0.5: 0.8162', 'f1, 0.5: 0.86'],
    ['measured, 0.498: 2 (1.9 to 2.1)', 'as MACs promise, 0.498: 2.008'],
    ['3 of 4', '0 of 4', '3 of 4', '0 of 4'],
    ['48 of 64', '16 of 64', '48 of 64', '16 of 64'],
  ]);
});

t.test('the page of a token sweep has a row a checkpoint, after the dense model', (t) => {
  const html = htmlPage(tokensPage(tokensReport, about));
  const report = /<script type="application\/json" id="report">(.*?)<\/script>/.exec(html)?.[1] as string;
  t.strictSame(JSON.parse(report), tokensReport);
  t.match(html, '<title>mini &amp; lm, mrpc: 4 checkpoints that drop tokens</title>');
  const rows = [...html.matchAll(/<tr><td>(dense|\S+-[\d.]+)<\/td>(.*?)<\/tr>/g)].map(([, name, cells]) => [
    name,
    ...[...(cells as string).matchAll(/<td>(.*?)<\/td>/g)].map(([, cell]) => cell),
  ]);
  t.strictSame(rows, [
    ['dense', '', '', '0.8211', '0.8730', ''],
    ['learned-0.7', '69.0 %', '2.00x (1.90 to 2.10)', '0.8200', '0.8700', '2.0'],
    ['top-k-0.7', '70.0 %', '', '0.8100', '0.8600', '2.0'],
    ['learned-0.5', '50.0 %', '2.00x (1.90 to 2.10)', '0.8000', '0.8500', '2.0'],
    ['learned-lambda-0.1', '40.0 %', '', '0.7900', '0.8400', '2.0'],
  ]);
  t.end();
});

t.test('a browser draws the charts of a token sweep, a line a method', { skip: skipped() }, async (t) => {
  const dom = await rendered('tokens', htmlPage(tokensPage(tokensReport, about)));
  t.strictSame(marksOf(dom), [
    ['learned, 0.69: 0.82', 'learned, 0.5: 0.8', 'top-k, 0.7: 0.81', 'learned, by lambda, 0.4: 0.79'],
    ['learned, 0.69: 0.87', 'learned, 0.5: 0.85', 'top-k, 0.7: 0.86', 'learned, by lambda, 0.4: 0.84'],
    [
      'learned, 0.69: 2 (1.9 to 2.1)',
      'learned, 0.5: 2 (1.9 to 2.1)',
      'as MACs promise, 0.69: 1.449',
      'as MACs promise, 0.5: 2',
    ],
    [100, 60, 80, 50, 90, 25, 60, 20].map((kept) => `${kept} of 100`),
  ]);
});

t.test('a browser draws the charts of a benchmark with the numbers of its report', { skip: skipped() }, async (t) => {
  const dom = await rendered('bench', htmlPage(benchPage(benchReport, about)));
  const throughput = ['mini &amp; lm: 9,000', 'onnxruntime 1.30.0: 4,500'];
  const latencies = ['mini &amp; lm: 100 (90 to 130)', 'onnxruntime 1.30.0: 200 (190 to 220)'];
  t.strictSame(marksOf(dom), [
    [...throughput, ...throughput],
    [...latencies, ...latencies],
    ['32 x 20.0: 2 (1.9 to 2.1)', '256 x 20.0: 2 (1.9 to 2.1)'],
  ]);
});

t.test('a sweep that has only begun has a page too', (t) => {
  t.match(htmlPage(sweepPage({ ...sweepReport, budgets: [] }, about)), '0 budgets of MACs');
  t.match(htmlPage(tokensPage({ ...tokensReport, runs: [] }, about)), '0 checkpoints that drop tokens');
  t.end();
});

function skipped(): string | false {
  return hasBrowser ? false : 'there is no Chromium';
}
