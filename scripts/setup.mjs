// Brings a bare Debian machine with node, npm, g++ and make to a built checkout. Every step is skipped where it is done.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import {
  aptInstall,
  buildPackages,
  cudaEnvironment,
  cudaPackages,
  cudaStamp,
  fail,
  findNvcc,
  isMain,
  missingPackages,
  root,
  run,
} from './tools.mjs';

export async function setup(packages = buildPackages) {
  installDebianPackages(argv.includes('--cuda') ? [...packages, ...cudaPackages] : packages);
  installNodeModules();
  if (argv.includes('--cuda') && !installCudaToolkit()) fail('the CUDA toolkit cannot be installed (see above)');
  run(process.execPath, [join(root, 'scripts/build.mjs')]);
  // Only now: what it imports may have been missing.
  const { compile } = await import('./compile.mjs');
  compile();
}

function installDebianPackages(names) {
  const missing = missingPackages(names);
  if (missing.length === 0) return;
  if (!existsSync('/usr/bin/apt-get')) fail(`${missing.join(', ')} missing (install them with your package manager)`);
  if (process.getuid() !== 0) fail(`${missing.join(', ')} missing (run: ${aptInstall(missing, 'sudo ')})`);
  console.error(`Installing ${missing.join(', ')} ...`);
  run('sh', ['-c', aptInstall(missing)], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** `npm ci`, unless node_modules was installed from the same package-lock.json. */
function installNodeModules() {
  const stamp = join(root, 'node_modules/.espalier-lock');
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  console.error('Installing npm packages ...');
  run('npm', ['ci', '--no-progress', '--loglevel=error']);
  writeFileSync(stamp, lock);
}

/** The CUDA compiler and libraries (about 1.6 GB) in a folder of their own; false where they cannot be had. */
export function installCudaToolkit() {
  if (findNvcc() !== undefined) return true;
  console.error('Installing the CUDA toolkit ...');
  const done = (command, args) => spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
  rmSync(cudaEnvironment, { recursive: true, force: true }); // What is there is of an attempt that did not come to its end.
  if (!done('python3', ['-m', 'venv', cudaEnvironment])) return false;
  const parts = 'nvcc,cudart,cublas,cusolver,cusparse,cccl,crt,nvvm';
  const packages = [`cuda-toolkit[${parts}]==13.0.*`, 'nvidia-cuda-nvdisasm==13.2.*'];
  if (!done(join(cudaEnvironment, 'bin/pip'), ['install', '--quiet', ...packages])) return false;
  // The packages hold the libraries under their versions only, which linkers do not look for.
  const [python] = readdirSync(join(cudaEnvironment, 'lib'));
  const toolkit = join(cudaEnvironment, 'lib', python, 'site-packages/nvidia/cu13');
  for (const file of readdirSync(join(toolkit, 'lib'))) {
    const plain = /^(lib(?:cublas|cublasLt|cudart|cusolver|cusparse)\.so)\.\d+$/.exec(file)?.[1];
    if (plain !== undefined) symlinkSync(file, join(toolkit, 'lib', plain));
  }
  symlinkSync('lib', join(toolkit, 'lib64'));
  writeFileSync(cudaStamp, '');
  return true;
}

if (isMain(import.meta.url)) await setup();
