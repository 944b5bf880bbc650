import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Example } from '../../../src/data/examples.js';
import { demoData } from '../../support/paths.js';

const linesOf = (name: 'train' | 'eval') => readFileSync(demoData(name), 'utf8').split('\n');

/** The first examples of the demo. */
export function demoExamples(name: 'train' | 'eval', count: number): Example[] {
  return linesOf(name)
    .slice(1, count + 1)
    .map((line) => {
      const [text, label] = line.split('\t') as [string, string];
      return { text, label: Number(label) };
    });
}

/** The same as a file. */
export function demoFile(directory: string, name: 'train' | 'eval', count: number): string {
  const file = join(directory, `${name}.tsv`);
  writeFileSync(
    file,
    linesOf(name)
      .slice(0, count + 1)
      .join('\n'),
  );
  return file;
}
