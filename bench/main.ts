import { Argument, Command } from 'commander';
import { table } from '../src/cli/table.js';
import { Engine } from '../src/native/engine.js';
import { batch256 } from './batch-256.js';
import { constraints } from './constraints.js';
import { fineTuning } from './fine-tuning.js';
import { forward } from './forward.js';
import { gemm } from './gemm.js';
import { kwon } from './kwon.js';
import { latencyConstraint, latencyPrediction, latencySteps } from './latency.js';
import { maskGradients } from './mask-gradients.js';
import { memory } from './memory.js';
import { onnxExport } from './onnx-export.js';
import { speedup } from './speedup.js';
import type { BenchContext, Row } from './support/benchmark.js';
import { environment } from './support/environment.js';
import { tokenDropping } from './token-dropping.js';
import { tokenLengths } from './token-lengths.js';
import { tokenizer } from './tokenizer.js';
import { training } from './training.js';
import { unitsAndTokens } from './units-and-tokens.js';

const benchmarks = [
  gemm,
  forward,
  maskGradients,
  training,
  fineTuning,
  kwon,
  speedup,
  tokenDropping,
  tokenLengths,
  unitsAndTokens,
  batch256,
  latencyPrediction,
  latencyConstraint,
  latencySteps,
  constraints,
  onnxExport,
  tokenizer,
  memory,
];

const program = new Command('npm run bench --')
  .description('Measures espalier and what it is compared with: all benchmarks, or those named.')
  .addArgument(new Argument('[names...]').choices(benchmarks.map(({ name }) => name)))
  .option('--python <path>', 'a Python with torch and transformers, to compare with as well')
  .option('--threads <n>', 'of every contender (default: all that there are)', Number)
  .option('--rounds <n>', 'of all contenders in turns', Number, 7)
  .option('--quick', 'fewer and shorter measurements, to see that everything runs', false)
  .option('--json', 'print one line of JSON', false)
  .addHelpText('after', `\nBenchmarks:\n${benchmarks.map(({ name, title }) => `  ${name}: ${title}`).join('\n')}`)
  .parse();
const options = program.opts<{ python?: string; threads?: number; rounds: number; quick: boolean; json: boolean }>();

const rounds = options.quick ? 1 : options.rounds;
if (!(rounds >= 1)) program.error(`--rounds must be 1 or more, not ${rounds}`);
const threads = options.threads ?? Engine.open().threads;
const results: { name: string; title: string; rows: Row[] }[] = [];
let current = '';
const context: BenchContext = {
  threads,
  rounds,
  quick: options.quick,
  python: options.python,
  log: (message) => console.error(`${current}: ${message}`),
};

const machine = environment(context);
if (!options.json) console.log(table(Object.entries(machine)));
for (const benchmark of benchmarks) {
  if (program.args.length > 0 && !program.args.includes(benchmark.name)) continue;
  current = benchmark.name;
  const rows = await benchmark.run(context);
  results.push({ name: benchmark.name, title: benchmark.title, rows });
  if (!options.json) console.log(`\n${benchmark.title}\n${rows.length === 0 ? 'skipped' : rowTable(rows)}`);
}
if (options.json) console.log(JSON.stringify({ environment: machine, results }));

function rowTable(rows: Row[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return table([columns, ...rows.map((row) => columns.map((column) => cell(row[column] ?? '')))]);
}

function cell(value: string | number): string {
  if (typeof value === 'string') return value;
  return value >= 100 ? value.toFixed(0) : value.toFixed(Number.isInteger(value) ? 0 : 3);
}
