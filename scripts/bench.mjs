import { join } from 'node:path';
import { argv } from 'node:process';
import { setup } from './setup.mjs';
import { buildPackages, buildPreset, nativeTestPackages, root, run } from './tools.mjs';

await setup([...buildPackages, ...nativeTestPackages]);
buildPreset('release', ['--target', 'gemm_peak']);
run(process.execPath, [join(root, 'dist/bench/main.js'), ...argv.slice(2)]);
