import { join } from 'node:path';
import { argv } from 'node:process';
import { setup } from './setup.mjs';
import { root, run } from './tools.mjs';

await setup();
run(process.execPath, [join(root, 'dist/bench/tokens.js'), ...argv.slice(2)]);
