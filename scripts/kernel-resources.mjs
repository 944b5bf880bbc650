// What the CUDA compiler makes of every kernel: registers, spills, shared memory, how many of its warps a
// multiprocessor holds, which tensor-core instructions it has. Needs no GPU. Usage, with a CUDA compiler and nvdisasm:
//   node scripts/kernel-resources.mjs            a table
//   node scripts/kernel-resources.mjs --check    compares with test/golden/kernel-resources.json
//   node scripts/kernel-resources.mjs --write    writes that file
// A kernel that keeps values on the stack, spilled registers for one, or lacks the instructions it is meant to have
// fails both.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { argv } from 'node:process';
import { cudaSettings, fail, findNvcc, isMain, jobs, root, run } from './tools.mjs';

const GOLDEN = join(root, 'test/golden/kernel-resources.json');
const SOURCES = 'native/backend/cuda';
const BUILD = join(root, 'build/cuda');
const KEPT = join(BUILD, 'kernels');

/** Which tensor-core instructions a kernel has; those that match nothing have none. The first match counts. */
const TENSOR_CORES = [
  [/<HalfProducts<__half>/, /^HMMA\.16816\.F32$/],
  [/<HalfProducts<__nv_bfloat16>/, /^HMMA\.16816\.F32\.BF16$/],
  [/<Tf32Products/, /^HMMA\.1688\.F32\.TF32$/],
  [/^linearKernel<__half/, /^HGMMA\.64x\d+x16\.F32$/],
  [/^linearKernel<__nv_bfloat16/, /^HGMMA\.64x\d+x16\.F32\.BF16$/],
];

/**
 * Threads of a block, where the kernel has no launch bounds that say so, and bytes of dynamic shared memory, as the
 * kernels' launchers compute them; attention's for sequences of 128 tokens. The first match counts.
 */
const LAUNCHES = [
  [/^attentionKernel<.*, (\d+), /, (kernel) => attentionLaunch(kernel, [1, 2], columnSumsFloats)],
  [
    /^(?:query|key)GradientKernel<.*, (\d+), /,
    (kernel) => attentionLaunch(kernel, [2, 2], ({ passing }) => 2 * passing),
  ],
  [/^headSumsKernel<.*, (\d+)>/, (kernel) => attentionLaunch(kernel, [1, 1], ({ passing }) => passing)],
  [/^linearKernel<.*, (\d+)>/, ({ bound, size }) => hopperLaunch(bound, size)],
  [/^layerNorm(?:Backward)?Kernel</, () => ({ threads: 128, sharedBytes: 0 })],
  [/^lossKernel</, () => ({ threads: 32, sharedBytes: 0 })],
  [/^transposeKernel</, ({ name }) => ({ threads: 256, sharedBytes: 32 * 33 * elementBytes(name) })],
  [/^(?:startNeurons|chooseUnit)Kernel$/, () => ({ threads: 256, sharedBytes: 256 * 16 })],
  [/^removeNeuronKernel$/, () => ({ threads: 256, sharedBytes: 256 * 16 + 2 * 64 * 8 + 2 * 256 * 8 })],
  [/^unitColumnsKernel$/, () => ({ threads: 32, sharedBytes: 0 })],
  [/^squaredErrorsKernel$/, () => ({ threads: 256, sharedBytes: 256 * 8 })],
  [/./, ({ bound }) => bound === undefined && { threads: 256, sharedBytes: 0 }],
];

function launchOf(name, bound) {
  for (const [pattern, launch] of LAUNCHES) {
    const match = pattern.exec(name);
    const launched = match && launch({ name, bound, size: Number(match[1]) });
    if (launched) return launched;
  }
  return fail(`${name} has launch bounds, but how it is launched is not known (give it an entry in LAUNCHES)`);
}

const elementBytes = (name) => (/__half|__nv_bfloat16/.test(name) ? 2 : 4);

/** A block's own rows of `own` matrices, 16 a warp, two stages of the `passing` matrices that pass by, and floats. */
function attentionLaunch({ name, bound, size }, [own, passing], floatsOf) {
  const threads = Math.min(bound, (128 / 16) * 32);
  const bytes = elementBytes(name);
  const rows = { own: threads / 2, passing: 2 * tileColumns(name) };
  const rowBytes = size * bytes + 16;
  const floats = floatsOf({ name, ...rows });
  return { threads, sharedBytes: (own * rows.own + passing * rows.passing) * rowBytes + 4 * floats };
}

const tileColumns = (name) => (elementBytes(name) === 2 ? 64 : 32);

/** Where a block adds up the column sums: one of each warp for each key at hand. */
const columnSumsFloats = ({ name, own }) => (name.includes('(ColumnSums)2') ? (own / 16) * 2 * tileColumns(name) : 0);

function hopperLaunch(threads, columns) {
  const stages = columns > 128 ? 5 : 6;
  const stageBytes = (128 + columns) * 128 + 2 * 8;
  return { threads, sharedBytes: 1024 + stages * stageBytes + 8 * (16 * 144 + 4 * columns) };
}

/** Of a multiprocessor of compute capability 8.0 and 9.0, as in NVIDIA's occupancy calculator. */
const MULTIPROCESSOR = {
  registers: 65536,
  registerUnit: 256, // of a warp
  warps: 64,
  warpUnit: 4,
  blocks: 32,
  sharedBytes: { sm_80: 164 * 1024, sm_90: 228 * 1024, sm_90a: 228 * 1024 },
  sharedUnit: 128,
  sharedOfSystem: 1024, // of a block
};

const roundUp = (value, unit) => Math.ceil(value / unit) * unit;
const roundDown = (value, unit) => Math.floor(value / unit) * unit;

/** Blocks that a multiprocessor holds at a time. */
function blocksAtOnce(architecture, { registers, threads, sharedBytes }) {
  const limits = MULTIPROCESSOR;
  const warps = Math.ceil(threads / 32);
  const warpRegisters = roundUp(registers * 32, limits.registerUnit);
  const shared = roundUp(sharedBytes + limits.sharedOfSystem, limits.sharedUnit);
  return Math.min(
    limits.blocks,
    Math.floor(limits.warps / warps),
    Math.floor(roundDown(limits.registers / warpRegisters, limits.warpUnit) / warps),
    Math.floor(limits.sharedBytes[architecture] / shared),
  );
}

/** Compiles and links the plugin for every architecture, and leaves each kernel's binaries in KEPT. */
function buildPlugin() {
  mkdirSync(KEPT, { recursive: true });
  const settings = [...cudaSettings(), `CMAKE_CUDA_FLAGS=--keep --keep-dir ${KEPT}`];
  run('cmake', ['-S', root, '-B', BUILD, '--log-level=WARNING', ...settings.map((setting) => `-D${setting}`)]);
  run('cmake', ['--build', BUILD, '--parallel', jobs, '--target', 'espalier_cuda']);
}

/** { compiler, kernels: { 'sm_80 attention attentionKernel<...>': { registers, ... } } } */
function measureKernels() {
  const nvcc = findNvcc() ?? fail('there is no CUDA compiler (run npm run setup -- --cuda)');
  buildPlugin();
  const nvdisasm = findTool('nvdisasm', dirname(nvcc));
  const sources = readdirSync(join(root, SOURCES), { recursive: true }).filter((name) => name.endsWith('.cu'));
  const units = new Set(sources.map((name) => basename(name, '.cu')));
  const kernels = {};
  for (const binary of readdirSync(KEPT).filter((name) => name.endsWith('.cubin'))) {
    const unit = binary.split('.')[0];
    // Some of others may be left from before.
    if (units.has(unit)) Object.assign(kernels, measureBinary(nvdisasm, unit, binary));
  }
  const version = /V(\d+\.\d+\.\d+)/.exec(spawnSync(nvcc, ['--version'], { encoding: 'utf8' }).stdout)[1];
  return {
    compiler: version,
    kernels: Object.fromEntries(Object.entries(kernels).sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

function findTool(name, folder) {
  const places = [folder, ...process.env.PATH.split(delimiter)].map((place) => join(place, name));
  return (
    places.find((place) => existsSync(place)) ?? fail(`${name} is missing (it comes with npm run setup -- --cuda)`)
  );
}

function measureBinary(nvdisasm, unit, binary) {
  const assembly = execFileSync(nvdisasm, [join(KEPT, binary)], { encoding: 'utf8', maxBuffer: 2 ** 30 });
  const architecture = /^\s*\.target\s+(\w+)/.exec(assembly)[1];
  const used = usageOf(assembly);
  const instructions = tensorCoresOf(assembly);
  const bounds = boundsOf(assembly);
  const names = readable([...used.keys()]);
  return Object.fromEntries(
    [...used].map(([mangled, usage], index) => {
      const kernel = { ...usage, ...launchOf(names[index], bounds.get(mangled)) };
      const warps = blocksAtOnce(architecture, kernel) * Math.ceil(kernel.threads / 32);
      const occupancy = Math.round((100 * warps) / MULTIPROCESSOR.warps);
      const tensorCores = instructions.get(mangled).join(' ');
      return [`${architecture} ${unit} ${names[index]}`, { ...kernel, occupancy, tensorCores }];
    }),
  );
}

/** Of each kernel, by its mangled name. */
function usageOf(assembly) {
  const [registers, stackBytes] = ['REGCOUNT', 'FRAME_SIZE'].map((attribute) => {
    const entry = new RegExp(`EIATTR_${attribute}\\b.*?index@\\((\\S+)\\).*?\\.word\\s+(0x[0-9a-f]+)`, 'gs');
    return new Map([...assembly.matchAll(entry)].map(([, name, value]) => [name, Number(value)]));
  });
  return new Map([...registers].map(([name, count]) => [name, { registers: count, stackBytes: stackBytes.get(name) }]));
}

/** The launch bounds of each kernel that has some, by its mangled name. */
function boundsOf(assembly) {
  const [, ...sections] = assembly.split(/^\/\/-+ \.nv\.info\./m);
  return new Map(
    sections.flatMap((section) => {
      const bound = /EIATTR_MAX_THREADS.*?\.word\s+(0x[0-9a-f]+)/s.exec(section.split('\n//-----')[0])?.[1];
      return bound === undefined ? [] : [[/^\S+/.exec(section)[0], Number(bound)]];
    }),
  );
}

/** The distinct tensor-core instructions of each kernel, by its mangled name. */
function tensorCoresOf(assembly) {
  const [, ...sections] = assembly.split(/^\/\/-+ \.text\./m);
  return new Map(
    sections.map((section) => [
      /^\S+/.exec(section)[0],
      [...new Set([...section.matchAll(/\b(?:HMMA|HGMMA|IMMA|DMMA)\.[\w.]+/g)].map(([name]) => name))].sort(),
    ]),
  );
}

/** Without namespaces, what is returned and parameters. */
function readable(mangled) {
  const { stdout } = spawnSync('c++filt', { input: mangled.join('\n'), encoding: 'utf8' });
  return stdout.split('\n').map((line) => {
    const name = line.replace(/\(anonymous namespace\)::|espalier::(cuda::)?|^void /g, '').replaceAll('> >', '>>');
    let depth = 0;
    const end = [...name].findIndex((character) => {
      if (character === '<') depth += 1;
      if (character === '>') depth -= 1;
      return character === '(' && depth === 0;
    });
    return end < 0 ? name : name.slice(0, end);
  });
}

/** One line for each kernel that breaks a rule, whatever was recorded before. */
function brokenRules(kernels) {
  return Object.entries(kernels).flatMap(([key, { stackBytes, tensorCores }]) => {
    const name = key.split(' ').slice(2).join(' ');
    const lines = [];
    if (stackBytes > 0) {
      lines.push(`${key}: keeps ${stackBytes} bytes on the stack, where registers are spilled to`);
    }
    const expected = TENSOR_CORES.find(([pattern]) => pattern.test(name))?.[1] ?? /^$/;
    if (!expected.test(tensorCores)) {
      lines.push(`${key}: tensor-core instructions '${tensorCores}' instead of ${expected.source}`);
    }
    return lines;
  });
}

/** One line for each difference; figures of another compiler are its own. */
function differences(golden, found) {
  const lines = [];
  for (const key of Object.keys(golden.kernels)) {
    if (!(key in found.kernels)) lines.push(`${key}: is missing`);
  }
  for (const [key, kernel] of Object.entries(found.kernels)) {
    const before = golden.kernels[key];
    if (before === undefined) {
      lines.push(`${key}: is new`);
    } else if (golden.compiler === found.compiler) {
      const changes = Object.keys(kernel).filter((field) => kernel[field] !== before[field]);
      if (changes.length > 0) {
        lines.push(`${key}: ${changes.map((field) => `${field} ${before[field]} -> ${kernel[field]}`).join(', ')}`);
      }
    }
  }
  return lines;
}

export function checkKernelResources() {
  const golden = JSON.parse(readFileSync(GOLDEN, 'utf8'));
  const found = measureKernels();
  const lines = [...brokenRules(found.kernels), ...differences(golden, found)];
  if (golden.compiler !== found.compiler) {
    console.log(`compiled by ${found.compiler}, recorded by ${golden.compiler}: only names and rules are compared`);
  }
  console.log(`${Object.keys(found.kernels).length} kernels, ${lines.length} differences`);
  if (lines.length === 0) return true;
  console.log('kernels are not what was recorded (node scripts/kernel-resources.mjs --write records them):');
  console.log(lines.join('\n'));
  return false;
}

function writeGolden() {
  const { compiler, kernels } = measureKernels();
  const broken = brokenRules(kernels);
  if (broken.length > 0) fail(`not written:\n${broken.join('\n')}`);
  const lines = Object.entries(kernels).map(([key, kernel]) => `${JSON.stringify(key)}: ${JSON.stringify(kernel)}`);
  writeFileSync(GOLDEN, `{\n"compiler": ${JSON.stringify(compiler)},\n"kernels": {\n${lines.join(',\n')}\n}\n}\n`);
}

function printTable() {
  const { compiler, kernels } = measureKernels();
  console.log(`Compiled by nvcc ${compiler}. Occupancy: the part of a multiprocessor's warps, in percent.`);
  console.log('registers  stack  threads  shared  occupancy  kernel');
  for (const [key, kernel] of Object.entries(kernels)) {
    const { registers, stackBytes, threads, sharedBytes, occupancy, tensorCores } = kernel;
    const figures = [
      [registers, 9],
      [stackBytes, 7],
      [threads, 9],
      [sharedBytes, 8],
      [occupancy, 11],
    ];
    console.log(`${figures.map(([value, width]) => String(value).padStart(width)).join('')}  ${key}  ${tensorCores}`);
  }
}

if (isMain(import.meta.url)) {
  if (argv.includes('--check')) process.exitCode = checkKernelResources() ? 0 : 1;
  else if (argv.includes('--write')) writeGolden();
  else printTable();
}
