import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const jobs = String(availableParallelism());

/** Whether Node was started with the module of this URL, by whatever link. */
export const isMain = (url) => process.argv[1] !== undefined && fileURLToPath(url) === realpathSync(process.argv[1]);

/** Ends the process with one line that says what is wrong and what to do. */
export function fail(message) {
  console.error(`espalier: ${message}`);
  process.exit(1);
}

/** Runs a command in the package's root with its output shown, and ends the process where it fails. */
export function run(command, args, options = {}) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (status === 0) return;
  const reason = error?.message ?? (signal ? `killed by ${signal}` : `exit code ${status}`);
  fail(`'${[command, ...args].join(' ')}' failed: ${reason} (its output is above)`);
}

/** Runs a file of a dependency with this Node, so that neither npx nor a shell is needed. */
export function runModule(file, args, options) {
  run(process.execPath, [join(root, 'node_modules', file), ...args], options);
}

/**
 * A CUDA compiler that can build the plugin: of CUDACXX, of `npm run setup -- --cuda`, or installed where CUDA usually is.
 * Of an older one it says so, once.
 */
export function findNvcc() {
  const folders = [...cudaFolders(), ...process.env.PATH.split(delimiter), '/usr/local/cuda/bin'];
  const named = process.env.CUDACXX;
  return [...(named ? [named] : []), ...folders.map((folder) => join(folder, 'nvcc'))].find(isNewEnough);
}

const oldestCuda = 13;
const tooOld = new Set();

function isNewEnough(nvcc) {
  if (!existsSync(nvcc)) return false;
  const { stdout } = spawnSync(nvcc, ['--version'], { encoding: 'utf8' });
  const version = /\brelease (\d+\.\d+)/.exec(stdout)?.[1] ?? 'unknown';
  if (Number.parseFloat(version) >= oldestCuda) return true;
  if (!tooOld.has(nvcc))
    console.error(`espalier: ${nvcc}, version ${version}, is too old for the CUDA plugin: ${oldestCuda} is needed`);
  tooOld.add(nvcc);
  return false;
}

/** Where `npm run setup -- --cuda` puts the toolkit, and what it leaves there once it is whole. */
export const cudaEnvironment = join(root, '.cuda');
export const cudaStamp = join(cudaEnvironment, 'installed');

function cudaFolders() {
  if (!existsSync(cudaStamp)) return [];
  const library = join(cudaEnvironment, 'lib');
  return readdirSync(library).map((python) => join(library, python, 'site-packages/nvidia/cu13/bin'));
}

/** CMake's settings for the CUDA plugin, or none where there is no compiler for it. */
export function cudaSettings() {
  const nvcc = findNvcc();
  return nvcc === undefined ? ['ESPALIER_CUDA=OFF'] : ['ESPALIER_CUDA=ON', `CMAKE_CUDA_COMPILER=${nvcc}`];
}

/** Configures and builds a preset of CMakePresets.json: the native tests and benches, apart from the addon. */
export function buildPreset(name, options = []) {
  run('cmake', ['--preset', name, '--log-level=WARNING']);
  run('cmake', ['--build', '--preset', name, '--parallel', jobs, ...options]);
}

export function hasCommand(name) {
  return process.env.PATH.split(delimiter).some((directory) => existsSync(join(directory, name)));
}

/** What a Debian package brings, to tell whether it is there without asking the package manager. */
const packageContents = {
  'g++': () => hasCommand('g++') || hasCommand('c++') || hasCommand('clang++'),
  make: () => hasCommand('make'),
  cmake: () => hasCommand('cmake'),
  // Elsewhere CMake finds it where these variables lead.
  'libeigen3-dev': () =>
    existsSync('/usr/include/eigen3/Eigen/Dense') || Boolean(process.env.Eigen3_DIR ?? process.env.CMAKE_PREFIX_PATH),
  'libgtest-dev': () => existsSync('/usr/include/gtest/gtest.h'),
  'clang-format': () => hasCommand('clang-format'),
  'python3-venv': () => spawnSync('python3', ['-c', 'import ensurepip']).status === 0,
  chromium: () => hasCommand('chromium'),
};

export const buildPackages = ['g++', 'make', 'cmake', 'libeigen3-dev'];
/** Of the native tests and benches. */
export const nativeTestPackages = ['libgtest-dev'];
/** Of the environment that the CUDA toolkit is installed in. */
export const cudaPackages = ['python3-venv'];
export const testPackages = [...nativeTestPackages, ...cudaPackages, 'clang-format', 'chromium'];

/** The packages of those named that this machine lacks. */
export function missingPackages(names) {
  return names.filter((name) => !packageContents[name]());
}

/** The command that installs Debian packages; `prefix` is 'sudo ' for those who are not root. */
export const aptInstall = (names, prefix = '') =>
  `${prefix}apt-get update && ${prefix}apt-get install -y --no-install-recommends ${names.join(' ')}`;
