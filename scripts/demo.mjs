import { join } from 'node:path';
import { setup } from './setup.mjs';
import { root, run } from './tools.mjs';

await setup();
run(process.execPath, [join(root, 'dist/demo/demo.js')]);
