#!/usr/bin/env node
// Builds the native addon, build/Release/espalier.node; CMake rebuilds only what changed. Installed as `espalier-build`:
// package managers stop running install scripts unasked, so building is a command of its own.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { aptInstall, buildPackages, cudaSettings, fail, jobs, missingPackages, root, run } from './tools.mjs';

const missing = missingPackages(buildPackages);
if (missing.length > 0) fail(`cannot build without ${missing.join(', ')} (on Debian: ${aptInstall(missing, 'sudo ')})`);

// A dependent project hoists cmake-js beside this package: resolve it instead of guessing its folder.
const cmakeJs = join(createRequire(import.meta.url).resolve('cmake-js/package.json'), '../bin/cmake-js');
const options = ['--directory', root, '--parallel', jobs, '--log-level', 'warn'];
const configure = [cmakeJs, 'configure', ...options, ...cudaSettings().map((setting) => `--CD${setting}`)];
// A cache from elsewhere, of a checkout that was moved or of another generator, is of no use: start anew.
if (spawnSync(process.execPath, configure, { cwd: root, stdio: 'ignore' }).status !== 0) {
  for (const name of ['CMakeCache.txt', 'CMakeFiles'])
    rmSync(join(root, 'build', name), { recursive: true, force: true });
  run(process.execPath, configure);
}
run(process.execPath, [cmakeJs, 'build', ...options]);
