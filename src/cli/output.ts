import type { OutputFlags } from './options.js';

/** Writes a command's result to standard output: one JSON object, or text for people. */
export function printResult(flags: OutputFlags, result: object, text: () => string): void {
  process.stdout.write(`${flags.json ? JSON.stringify(result) : text()}\n`);
}

/** The examples at the end of a command's --help. */
export function helpExamples(...examples: string[]): string {
  return ['', 'Examples:', ...examples.map((example) => `  $ espalier ${example}`)].join('\n');
}

/** How this process was called, for a shell. */
export function commandLine(): string {
  const plain = (word: string) => (/^[\w./,:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  return ['espalier', ...process.argv.slice(2)].map(plain).join(' ');
}
