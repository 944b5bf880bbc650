import { resolve, sep } from 'node:path';
import { EspalierError } from '../native/errors.js';
import type { OutputFlags } from './options.js';

/** Writes a command's result to standard output: one JSON object, or text for people. */
export function printResult(flags: OutputFlags, result: object, text: () => string): void {
  process.stdout.write(`${flags.json ? JSON.stringify(result) : text()}\n`);
}

/** Throws ERR_OPTION where two of a command's outputs, by the options that name them, are the same. */
export function checkApart(outputs: Record<string, string | undefined>): void {
  const options = new Map<string, string>();
  for (const [option, path] of Object.entries(outputs)) {
    if (path === undefined) continue;
    const other = options.get(resolve(path));
    if (other) throw new EspalierError('ERR_OPTION', `${option} and ${other} are the same path (give two)`);
    options.set(resolve(path), option);
  }
}

/** Throws ERR_OPTION where one of two directories to be made lies in the other. */
export function checkNotNested(one: string, other: string): void {
  const [a, b] = [one, other].map((path) => `${resolve(path)}${sep}`) as [string, string];
  if (!a.startsWith(b) && !b.startsWith(a)) return;
  throw new EspalierError('ERR_OPTION', `of ${one} and ${other} one lies in the other (give two directories apart)`);
}

/** @param of which of several results */
export function printWarnings(warnings: readonly string[] = [], of = ''): void {
  for (const warning of warnings) process.stderr.write(`espalier: warning: ${of && `${of}: `}${warning}\n`);
}

/** The examples at the end of a command's --help; those that begin with another command are whole. */
export function helpExamples(...examples: string[]): string {
  return [
    '',
    'Examples:',
    ...examples.map((example) => `  $ ${example.includes('| espalier ') ? '' : 'espalier '}${example}`),
  ].join('\n');
}

/** How this process was called, for a shell. */
export function commandLine(): string {
  const plain = (word: string) => (/^[\w./,:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  return ['espalier', ...process.argv.slice(2)].map(plain).join(' ');
}
