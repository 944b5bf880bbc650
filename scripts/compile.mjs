#!/usr/bin/env node
// Compiles the TypeScript to dist/, and bundles the script and the style of the report pages beside it.
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { root, runModule } from './tools.mjs';

export function compile() {
  runModule('typescript/bin/tsc', []);
  const browser = 'src/report/browser';
  runModule('typescript/bin/tsc', ['--project', browser]);
  buildSync({
    absWorkingDir: root,
    entryPoints: [join(browser, 'charts.ts'), join(browser, 'style.css')],
    bundle: true,
    minify: true,
    format: 'esm',
    outdir: join('dist', browser),
  });
}

if (fileURLToPath(import.meta.url) === argv[1]) compile();
