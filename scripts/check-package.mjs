// Packs the tarball, installs it into an empty project, builds the addon there and uses it: what a user would do.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setup } from './setup.mjs';
import { root, run } from './tools.mjs';

// What was compiled from sources that are gone must not be packed.
rmSync(join(root, 'dist'), { recursive: true, force: true });
await setup();
const project = mkdtempSync(join(tmpdir(), 'espalier-package-'));
process.on('exit', () => rmSync(project, { recursive: true, force: true }));
const inProject = { cwd: project };

run('npm', ['pack', '--pack-destination', project, '--silent']);
writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'empty', private: true, type: 'module' }));
run('sh', ['-c', 'npm install --no-fund --no-audit ./espalier-*.tgz'], inProject);
run('npx', ['--no-install', 'espalier-build'], inProject);
run('npx', ['--no-install', 'espalier', 'devices'], inProject);

const model = join(root, 'models/sentiment-mini');
const data = join(root, 'demo');
const prune = ['prune', model, '--task', 'sst2', '--train', join(data, 'train.tsv'), '--keep', '0.5'];
run('npx', ['--no-install', 'espalier', ...prune, '--samples', '256', '--output', 'pruned'], inProject);
run('npx', ['--no-install', 'espalier', 'export', 'pruned', '--onnx', 'pruned.onnx', '--dense', 'dense'], inProject);
writeFileSync(
  join(project, 'use.js'),
  `import { loadModel, predict } from 'espalier';
   const model = await loadModel('pruned');
   console.log(await predict(model, ['What a lovely surprise!']));`,
);
run(process.execPath, ['use.js'], inProject);
