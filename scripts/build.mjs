#!/usr/bin/env node
// Builds the native addon, build/Release/espalier.node; CMake rebuilds only what changed. Installed as `espalier-build`:
// package managers stop running install scripts unasked, so building is a command of its own.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { aptInstall, buildPackages, fail, jobs, missingPackages, root, run } from './tools.mjs';

const missing = missingPackages(buildPackages);
if (missing.length > 0) fail(`cannot build without ${missing.join(', ')} (on Debian: sudo ${aptInstall(missing)})`);

// A dependent project hoists cmake-js beside this package: resolve it instead of guessing its folder.
const cmakeJs = join(createRequire(import.meta.url).resolve('cmake-js/package.json'), '../bin/cmake-js');
const options = ['--directory', root, '--prefer-make', '--parallel', jobs, '--log-level', 'warn'];
// cmake-js alone would not configure again after a configuration that was interrupted.
for (const command of ['configure', 'build']) run(process.execPath, [cmakeJs, command, ...options]);
