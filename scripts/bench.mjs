import { join } from 'node:path';
import { argv } from 'node:process';
import { setup } from './setup.mjs';
import { buildPackages, buildPreset, root, run, testPackages } from './tools.mjs';

setup([...buildPackages, ...testPackages]);
buildPreset('release', ['--target', 'gemm_peak']);
run(process.execPath, [join(root, 'dist/bench/main.js'), ...argv.slice(2)]);
