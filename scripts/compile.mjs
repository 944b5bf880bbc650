#!/usr/bin/env node
// Compiles the TypeScript to dist/, and bundles the script and the style of the report pages beside it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { isMain, root, runModule } from './tools.mjs';

export function compile() {
  runModule('typescript/bin/tsc', []);
  const browser = 'src/report/browser';
  runModule('typescript/bin/tsc', ['--project', browser]);
  const { metafile } = buildSync({
    absWorkingDir: root,
    entryPoints: [join(browser, 'charts.ts'), join(browser, 'style.css')],
    bundle: true,
    minify: true,
    format: 'esm',
    outdir: join('dist', browser),
    metafile: true,
  });
  const script = join(root, 'dist', browser, 'charts.js');
  writeFileSync(script, `/*!\n${licencesOf(metafile)}\n*/\n${readFileSync(script, 'utf8')}`);
}

/** Of the packages in the bundle, so that the package and every page carry them along. */
function licencesOf({ inputs }) {
  const directories = Object.keys(inputs).map((path) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0]);
  const licences = [...new Set(directories)].filter(Boolean).map((directory) => {
    const name = readdirSync(join(root, directory)).find((file) => /^licen[cs]e/i.test(file));
    return readFileSync(join(root, directory, name), 'utf8').trim();
  });
  return [...new Set(licences)].join('\n\n');
}

if (isMain(import.meta.url)) compile();
