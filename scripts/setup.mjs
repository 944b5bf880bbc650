// Brings a bare Debian machine with node, npm, g++ and make to a built checkout. Every step is skipped where it is done.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { aptInstall, buildPackages, fail, missingPackages, root, run } from './tools.mjs';

export async function setup(packages = buildPackages) {
  installDebianPackages(packages);
  installNodeModules();
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

if (fileURLToPath(import.meta.url) === argv[1]) await setup();
