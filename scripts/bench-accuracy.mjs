import { join } from 'node:path';
import { argv } from 'node:process';
import { setup } from './setup.mjs';
import { root, run } from './tools.mjs';

await setup();
run(process.execPath, [join(root, 'dist/bench/accuracy.js'), ...argv.slice(2)]);
