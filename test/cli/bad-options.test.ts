import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { runCli } from '../support/cli.js';
import { demoData, sentimentMini } from '../support/paths.js';

const output = join(mkdtempSync(join(tmpdir(), 'espalier-')), 'pruned');
const train = demoData('train');
const evaluate = ['evaluate', sentimentMini, '--task', 'sst2', '--eval', demoData('eval')];
const prune = ['prune', sentimentMini, '--task', 'sst2', '--train', train, '--output', output];
const kept = [...prune, '--keep', '0.5'];
const training = [sentimentMini, '--task', 'sst2', '--train', train, '--output', output];
const tokens = ['tokens', 'sweep', ...training];
const tokensTrain = ['tokens', 'train', ...training];
const calibrate = ['tokens', 'calibrate', ...training];

/** Arguments, exit code, stable code, message. */
const cases: [string[], number, string, string][] = [
  [['prun'], 2, 'ERR_OPTION', "unknown command 'prun' (did you mean prune?)"],
  [['inspect'], 2, 'ERR_OPTION', "missing required argument 'checkpoint' (see --help)"],
  [['evaluate', 'a', 'b'], 2, 'ERR_OPTION', "required option '--eval <file>' not specified (see --help)"],
  [[...evaluate, 'more'], 2, 'ERR_OPTION', 'too many arguments for'],
  [[...kept, '--sample', '8'], 2, 'ERR_OPTION', "unknown option '--sample' (did you mean --samples?)"],
  [[...kept, '--dense-copy', output], 2, 'ERR_OPTION', '--dense-copy and --output are the same path (give two)'],
  [[...kept, '--dense-copy', `${output}/dense`], 2, 'ERR_OPTION', 'one lies in the other (give two directories apart)'],
  [[...kept, '--report', output], 2, 'ERR_OPTION', '--report and --output are the same path (give two)'],
  [[...kept, '--dense-copy', 'demo'], 1, 'ERR_OUTPUT', 'demo exists'],
  [['export', sentimentMini], 2, 'ERR_OPTION', 'nothing to export (give --onnx FILE or --dense DIRECTORY)'],
  [['export', sentimentMini, '--onnx', 'm', '--dense', './m'], 2, 'ERR_OPTION', '--dense and --onnx are the same path'],
  [[...kept, '--output', ''], 2, 'ERR_OPTION', 'the path of an output is empty (give one)'],
  [[...kept, '--output', '/proc/pruned'], 1, 'ERR_OUTPUT', 'cannot write /proc/pruned: '],
  [[...kept, '--output', `${train}/pruned`], 1, 'ERR_OUTPUT', 'cannot write '],
  [[...kept, '--output', sentimentMini, '--force'], 2, 'ERR_OPTION', 'is what the output is made of'],
  [['sweep', ...training, '--keep', '0.5', '--output', train], 1, 'ERR_OUTPUT', 'is no directory (give another path)'],
  [['train', ...training, '--resume', ''], 2, 'ERR_OPTION', 'the path of an output is empty'],
  [['train', ...training, '--resume', train], 1, 'ERR_OUTPUT', 'is no directory'],
  [
    [
      ...evaluate,
      '--task',
      'classification',
      '--text-column',
      'sentence',
      '--pair-column',
      'label',
      '--max-length',
      '2',
    ],
    2,
    'ERR_INVALID_ARGUMENT',
    'maxLength must be an integer of at least 3, ',
  ],
  [[...evaluate, '--precision', 'bf16'], 1, 'ERR_UNSUPPORTED', 'in fp32 only (other precisions need a GPU: give '],
  [['export', sentimentMini, '--onnx', 'package.json'], 1, 'ERR_OUTPUT', 'package.json exists (give another file, '],
  [['export', sentimentMini, '--onnx', 'demo', '--force'], 1, 'ERR_OUTPUT', 'demo is no regular file'],
  [['export', sentimentMini, '--dense', 'demo', '--force'], 1, 'ERR_OUTPUT', 'demo is no checkpoint directory'],
  [['export', sentimentMini, '--onnx', '/proc/m.onnx'], 1, 'ERR_OUTPUT', 'cannot write /proc/m.onnx'],
  [['export', sentimentMini, '--onnx', 'm.onnx', '--dtype', 'int8'], 2, 'ERR_OPTION', "--dtype cannot be 'int8'"],
  [['export', 'absent', '--onnx', 'm.onnx'], 1, 'ERR_CHECKPOINT', 'absent'],
  [[...kept, '--profile', 'p.json'], 2, 'ERR_OPTION', 'a latency profile is of no use for macs'],
  [prune, 2, 'ERR_OPTION', "required option '--keep <ratio>' not specified (see --help)"],
  [[...prune, '--keep'], 2, 'ERR_OPTION', "--keep cannot be '--json' (give a number above 0, at most 1)"],
  [[...prune, '--keep', '0'], 2, 'ERR_OPTION', "--keep cannot be '0' (give a number above 0, at most 1)"],
  [[...prune, '--keep', '1.5'], 2, 'ERR_OPTION', "--keep cannot be '1.5' (give a number above 0, at most 1)"],
  [[...prune, '--keep', 'half'], 2, 'ERR_OPTION', "--keep cannot be 'half' (give a number above 0, at most 1)"],
  [[...prune, '--keep', '0x1'], 2, 'ERR_OPTION', "--keep cannot be '0x1' (give a number above 0, at most 1)"],
  [[...prune, '--keep', ''], 2, 'ERR_OPTION', "--keep cannot be '' (give a number above 0, at most 1)"],
  [[...kept, '--samples', '0'], 2, 'ERR_OPTION', "--samples cannot be '0' (give a whole number, at least 1)"],
  [[...kept, '--samples', '1e99'], 2, 'ERR_OPTION', "--samples cannot be '1e99' (give a whole number, at least 1)"],
  [[...kept, '--batch', '2.5'], 2, 'ERR_OPTION', "--batch cannot be '2.5' (give a whole number, at least 1)"],
  [[...kept, '--batch', '8'], 2, 'ERR_OPTION', 'the preset espalier has no mini-batches'],
  [[...kept, '--seed', '-1'], 2, 'ERR_OPTION', "--seed cannot be '-1' (give a whole number, at least 0)"],
  [[...kept, '--preset', 'fast'], 2, 'ERR_OPTION', "--preset cannot be 'fast' (give espalier, kwon)"],
  [
    [...kept, '--constraint', 'parameters'],
    2,
    'ERR_OPTION',
    "--constraint cannot be 'parameters' (give macs, latency)",
  ],
  [[...kept, '--constraint', 'latency', '--profile', 'absent'], 1, 'ERR_DATA', 'cannot read absent: '],
  [[...kept, '--constraint', 'latency', '--profile', train], 1, 'ERR_DATA', 'is no latency profile: '],
  [['bench', sentimentMini, '--batch', '8,x'], 2, 'ERR_OPTION', "--batch cannot be '8,x' (give whole numbers from 1 "],
  [['bench', sentimentMini, '--length', '600'], 2, 'ERR_OPTION', 'no position for 600 tokens'],
  [
    ['bench', sentimentMini, '--expect-speedup', '2'],
    2,
    'ERR_OPTION',
    '--expect-speedup has nothing to be faster than',
  ],
  [['bench', sentimentMini, '--against', 'absent'], 1, 'ERR_CHECKPOINT', 'absent'],
  [['bench', sentimentMini, '--against', './pytorch'], 1, 'ERR_CHECKPOINT', 'pytorch'],
  [['bench', sentimentMini, '--python', 'python3'], 2, 'ERR_OPTION', 'a Python is of use for PyTorch only (give '],
  [
    ['bench', sentimentMini, '--against', 'pytorch', '--python', '/absent'],
    2,
    'ERR_OPTION',
    'PyTorch does not run in "/absent": ',
  ],
  [['profile', sentimentMini], 2, 'ERR_OPTION', "required option '--output <file>' not specified (see --help)"],
  [['profile', sentimentMini, '--output', 'demo'], 1, 'ERR_OUTPUT', 'demo'],
  [['profile', sentimentMini, '--output', 'package.json'], 1, 'ERR_DATA', 'package.json is no latency profile'],
  [['profile', sentimentMini, '--output', 'p.json', '--length', '600'], 2, 'ERR_OPTION', 'no position for 600 tokens'],
  [[...kept, '--dtype', 'int8'], 2, 'ERR_OPTION', "--dtype cannot be 'int8' (give f32, f16, bf16)"],
  [
    [...evaluate, '--precision', 'int8'],
    2,
    'ERR_OPTION',
    "--precision cannot be 'int8' (give fp32, tf32, bf16-products, bf16, fp16)",
  ],
  [[...evaluate, '--device', 'cpu', '--precision', 'bf16'], 1, 'ERR_UNSUPPORTED', 'other precisions need a GPU'],
  [[...evaluate, '--threads', '0'], 2, 'ERR_OPTION', "--threads cannot be '0' (give a whole number from 1 to 1024)"],
  [[...evaluate, '--device', 'gpu'], 2, 'ERR_OPTION', "--device cannot be 'gpu' (give auto, cpu, cuda or cuda:N)"],
  [[...evaluate, '--max-length', '1'], 2, 'ERR_OPTION', "--max-length cannot be '1' (give a whole number, at least 2)"],
  [[...evaluate, '--limit', 'ten'], 2, 'ERR_OPTION', "--limit cannot be 'ten' (give a whole number, at least 1)"],
  [[...evaluate, '--device', 'cuda'], 4, 'ERR_NO_DEVICE', 'cuda'],
  [[...evaluate, '--task', 'sst-2'], 2, 'ERR_TASK', 'unknown task "sst-2" (tasks: cola, sst2, mrpc, '],
  [
    [...evaluate, '--task', 'stsb'],
    2,
    'ERR_TASK',
    'task stsb needs a model for regression and the checkpoint is one for classification',
  ],
  [[...evaluate, '--task', 'mnli'], 2, 'ERR_TASK', 'task mnli has 3 labels'],
  [[...evaluate, '--text-column', 'review'], 1, 'ERR_DATA', 'no column "review", only "sentence", "label"'],
  [[...evaluate, '--eval', 'absent.tsv'], 1, 'ERR_DATA', 'absent.tsv'],
  [['evaluate', sentimentMini, '--eval', train], 2, 'ERR_TASK', 'config.json names no task (give --task: '],
  [
    [...evaluate, '--format', 'xml'],
    2,
    'ERR_OPTION',
    "--format cannot be 'xml' (give tsv, csv, jsonl, json, parquet, txt)",
  ],
  [
    ['predict', sentimentMini, 'Fine.', '--input', 'a.txt'],
    2,
    'ERR_OPTION',
    'texts, --input and --question exclude each other (give one of them)',
  ],
  [['predict', sentimentMini, '--question', 'a'], 2, 'ERR_OPTION', '--question and --context go together (give both)'],
  [['predict', sentimentMini, '--context', 'a'], 2, 'ERR_OPTION', '--question and --context go together (give both)'],
  [
    ['predict', sentimentMini, '--question', 'a', '--context', 'b', 'c'],
    2,
    'ERR_OPTION',
    'texts, --input and --question exclude each other (give one of them)',
  ],
  [
    [...evaluate, '--task', 'squad'],
    2,
    'ERR_TASK',
    'task squad needs a model for question answering and the checkpoint',
  ],
  [[...evaluate, '--predictions', 'demo'], 1, 'ERR_OUTPUT', 'demo is no regular file'],
  [[...tokens, '--macs', '0.5'], 2, 'ERR_OPTION', 'a trade-off needs data to evaluate on (give --eval too)'],
  [tokens, 2, 'ERR_OPTION', 'the method learned needs to know how much work to leave (give --macs too)'],
  [[...tokens, '--macs', '0.5,2'], 2, 'ERR_OPTION', "--macs cannot be '0.5,2' (give numbers above 0, at most 1, "],
  [[...tokens, '--lambdas', '0.1,-1'], 2, 'ERR_OPTION', "--lambdas cannot be '0.1,-1' (give numbers, at least 0, "],
  [
    [...tokens, '--methods', 'learned,fast'],
    2,
    'ERR_OPTION',
    "--methods cannot be 'learned,fast' (give some of learned, manual, top-k, length-drop, calibrated, separated by commas)",
  ],
  [['train', sentimentMini, '--train', train], 2, 'ERR_OPTION', "required option '--output <directory>' not specified"],
  [
    ['train', ...training, '--epochs', '0'],
    2,
    'ERR_OPTION',
    "--epochs cannot be '0' (give a whole number, at least 1)",
  ],
  [['train', ...training, '--batch', '0'], 2, 'ERR_OPTION', "--batch cannot be '0' (give a whole number, at least 1)"],
  [
    ['train', ...training, '--dropout', '1'],
    2,
    'ERR_OPTION',
    "--dropout cannot be '1' (give a number, at least 0 and ",
  ],
  [['train', ...training, '--warmup', '1'], 2, 'ERR_OPTION', "--warmup cannot be '1' (give a number, at least 0 and "],
  [
    ['train', ...training, '--learning-rate', '0'],
    2,
    'ERR_OPTION',
    "--learning-rate cannot be '0' (give a number above ",
  ],
  [
    ['train', ...training, '--weight-decay', '-1'],
    2,
    'ERR_OPTION',
    "--weight-decay cannot be '-1' (give a number, at ",
  ],
  [['train', ...training, '--max-gradient-norm', '0'], 2, 'ERR_OPTION', "--max-gradient-norm cannot be '0' (give a "],
  [
    ['train', ...training, '--distill-temperature', '0'],
    2,
    'ERR_OPTION',
    "--distill-temperature cannot be '0' (give a ",
  ],
  [
    ['train', ...training, '--seed', '1048576'],
    2,
    'ERR_OPTION',
    "--seed cannot be '1048576' (give a whole number from 0 ",
  ],
  [
    ['train', ...training, '--resume', join(output, 'state')],
    2,
    'ERR_OPTION',
    '--resume is in the directory of --output (give ',
  ],
  [['train', ...training, '--resume', 'demo'], 1, 'ERR_OUTPUT', 'demo keeps no training (give another directory)'],
  [['train', ...training, '--teacher', 'absent'], 1, 'ERR_CHECKPOINT', 'absent'],
  [['train', ...training, '--label-column', 'sentence'], 1, 'ERR_DATA', 'is unknown (task sst2 allows '],
  [['train', ...training, '--output', 'demo'], 1, 'ERR_OUTPUT', 'demo exists (give another directory, or --force to '],
  [
    ['train', ...training, '--precision', 'bf16', '--device', 'cpu'],
    1,
    'ERR_UNSUPPORTED',
    'other precisions need a GPU',
  ],
  [[...tokensTrain, '--lambda', '-1'], 2, 'ERR_OPTION', "--lambda cannot be '-1' (give a number, at least 0)"],
  [[...tokensTrain, '--temperature', '0'], 2, 'ERR_OPTION', "--temperature cannot be '0' (give a number above 0)"],
  [[...tokensTrain, '--macs', '0'], 2, 'ERR_OPTION', "--macs cannot be '0' (give a number above 0, at most 1)"],
  [[...tokensTrain, '--soft-epochs', '0'], 2, 'ERR_OPTION', "--soft-epochs cannot be '0' (give a whole number, at "],
  [[...tokensTrain, '--method', 'fast'], 2, 'ERR_OPTION', "--method cannot be 'fast' (give learned, manual, top-k, "],
  [
    [...tokensTrain, '--method', 'manual', '--macs', '0.5', '--soft-learning-rate', '1e-5'],
    2,
    'ERR_OPTION',
    '--soft-learning-rate is of the method learned alone (leave it out)',
  ],
  [[...tokensTrain, '--method', 'manual'], 2, 'ERR_OPTION', 'the method manual needs to know how much work to leave'],
  [
    [...tokensTrain, '--method', 'top-k', '--macs', '0.01'],
    3,
    'ERR_TARGET',
    'of the multiply-accumulates are left, however ',
  ],
  [calibrate, 2, 'ERR_OPTION', "required option '--macs <ratio>' not specified (see --help)"],
  [[...calibrate, '--macs', '1.1'], 2, 'ERR_OPTION', "--macs cannot be '1.1' (give a number above 0, at most 1)"],
  [
    [...calibrate, '--macs', '0.5', '--samples', '0'],
    2,
    'ERR_OPTION',
    "--samples cannot be '0' (give a whole number, ",
  ],
  [
    [...calibrate, '--macs', '0.01', '--samples', '16'],
    3,
    'ERR_TARGET',
    'can be saved by dropping tokens (ask for more ',
  ],
  [['inspect', 'absent'], 1, 'ERR_CHECKPOINT', 'absent'],
  [
    ['prune', sentimentMini, '--task', 'sst2', '--train', train, '--keep', '0.5', '--output', 'demo'],
    1,
    'ERR_OUTPUT',
    'demo exists',
  ],
];

t.jobs = 2;
for (const [args, exitCode, code, message] of cases) {
  const shown = args.map((arg) => arg.replace(/^\/.*\//, '')).join(' ');
  void t.test(`espalier ${shown}`, { buffered: true }, async (t) => {
    const { status, stdout, stderr } = await runCli([...args, '--json']);
    t.equal(status, exitCode);
    const lines = stderr.trimEnd().split('\n');
    t.match(lines.at(-1), /^espalier: .+$/);
    t.match(lines.at(-1), message);
    const { error } = JSON.parse(stdout);
    t.equal(error.code, code);
    t.equal(`espalier: ${error.message}`, lines.at(-1));
  });
}

t.test('no command at all: the help, and exit code 2', async (t) => {
  const { status, stdout, stderr } = await runCli([]);
  t.equal(status, 2);
  t.equal(stdout, '');
  t.match(stderr, /^Usage: espalier .*\nespalier: no command given \(choose one of those above\)\n$/s);
});
