// Packs what a machine without Node and without a network needs to run espalier: this Node, the compiled package, what
// it imports, the addon, and GoogleTest's sources. Usage, after a build:
//   node scripts/gpu-kit.mjs [--output .gpu-kit] [--checkpoint DIRECTORY --data FILE]
// Unpacked by scripts/gpu-kit.sh, which prunes the checkpoint on the data, SST-2's unless TASK says otherwise.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { builtinModules, createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { fail, hasCommand, isMain, root, run } from './tools.mjs';

const GOOGLE_TEST = '/usr/src/googletest';
const ARCHIVE = 'kit.tar.xz';
/** The package's name in an import, whatever file of it is meant. */
const IMPORT = /(?:from |import\(|require\()'((?:@[^/']+\/)?[^./'][^/']*)/g;
/** What is read at run time beside the compiled sources. */
const PACKAGE_FILES = [
  'package.json',
  'dist/src',
  'build/Release/espalier.node',
  'src/checkpoint/modeling_espalier.py',
  'src/contenders/pytorch_contender.py',
];

export function pack({ output, checkpoint, data }) {
  if (!hasCommand('xz')) fail('xz is missing (install xz-utils)');
  const kit = mkdtempSync(join(tmpdir(), 'espalier-kit-'));
  try {
    packNode(join(kit, 'bin/node'));
    for (const name of PACKAGE_FILES) copy(join(root, name), join(kit, 'espalier', name));
    for (const directory of importedPackages()) copy(directory, join(kit, 'espalier', relative(root, directory)));
    packGoogleTest(join(kit, 'googletest'));
    if (checkpoint) cpSync(checkpoint, join(kit, 'checkpoint'), { recursive: true, dereference: true });
    if (data) cpSync(data, join(kit, 'checkpoint/train.tsv'));
    mkdirSync(output, { recursive: true });
    const archive = join(output, ARCHIVE);
    run('tar', ['--create', '--file', archive, '--use-compress-program=xz -T0 -6', '--directory', kit, '.']);
    report(kit, archive);
  } finally {
    rmSync(kit, { recursive: true });
  }
}

function copy(from, to) {
  if (!existsSync(from)) fail(`${relative(root, from)} is missing (run npm run build)`);
  const filter = (name) => !/\.(map|d\.[cm]?ts|md)$/.test(name);
  cpSync(from, to, { recursive: true, dereference: true, filter });
}

/** Without its symbols where there is `strip`. The addon looks up functions in the dynamic table, which stays. */
function packNode(target) {
  mkdirSync(dirname(target), { recursive: true });
  cpSync(process.execPath, target);
  chmodSync(target, 0o755);
  if (hasCommand('strip')) run('strip', ['--strip-unneeded', target]);
}

/** The directories of the packages that the compiled sources import, and of what these depend on. */
function importedPackages() {
  const directories = new Set();
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const name of importedNames(join(root, 'dist/src'))) {
    if (own.dependencies[name]) addPackage(name, root, directories);
  }
  return directories;
}

function importedNames(directory) {
  const names = new Set();
  for (const file of readdirSync(directory, { recursive: true }).filter((name) => name.endsWith('.js'))) {
    const source = readFileSync(join(directory, file), 'utf8');
    for (const [, name] of source.matchAll(IMPORT)) names.add(name);
  }
  return [...names].filter((name) => !name.startsWith('node:') && !builtinModules.includes(name));
}

function addPackage(name, from, directories) {
  const directory = findPackage(name, from);
  if (directories.has(directory)) return;
  directories.add(directory);
  const { dependencies = {} } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  for (const dependency of Object.keys(dependencies)) addPackage(dependency, directory, directories);
}

/** As Node looks for it: not every package exports its package.json. */
function findPackage(name, from) {
  const places = createRequire(join(from, 'package.json')).resolve.paths(name);
  const found = places.map((place) => join(place, name)).find((place) => existsSync(join(place, 'package.json')));
  return found ?? fail(`the package ${name} is missing (run npm ci)`);
}

function packGoogleTest(target) {
  if (!existsSync(GOOGLE_TEST)) fail(`${GOOGLE_TEST} is missing (install libgtest-dev)`);
  cpSync(GOOGLE_TEST, target, { recursive: true, filter: (name) => !/\/(test|docs|samples|googlemock)$/.test(name) });
}

function report(kit, archive) {
  const { stdout } = spawnSync('du', ['--summarize', '--bytes', ...readdirSync(kit).map((name) => join(kit, name))]);
  for (const line of stdout.toString().trim().split('\n')) {
    const [bytes, path] = line.split('\t');
    console.log(`${megabytes(bytes)}  ${relative(kit, path)}`);
  }
  console.log(`${megabytes(statSync(archive).size)}  ${archive}`);
}

const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1).padStart(6)} MiB`;

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      output: { type: 'string', default: join(root, '.gpu-kit') },
      checkpoint: { type: 'string' },
      data: { type: 'string' },
    },
  });
  if ((values.checkpoint === undefined) !== (values.data === undefined)) fail('--checkpoint and --data go together');
  pack(values);
}
