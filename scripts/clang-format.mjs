// Checks the formatting of the C++ sources, or rewrites them with --write.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import { isMain, root, run } from './tools.mjs';

export function checkNativeFormat(mode = ['--dry-run', '-Werror']) {
  const files = ['native', 'binding', 'test/native', 'bench']
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, name)))
    .filter((name) => /\.(h|cpp|cu)$/.test(name));
  run('clang-format', [...mode, ...files]);
}

if (isMain(import.meta.url)) checkNativeFormat(argv.includes('--write') ? ['-i'] : undefined);
