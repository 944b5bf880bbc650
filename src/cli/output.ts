import type { OutputFlags } from './options.js';

/** Writes a command's result to standard output: one JSON object, or text for people. */
export function printResult(flags: OutputFlags, result: object, text: () => string): void {
  process.stdout.write(`${flags.json ? JSON.stringify(result) : text()}\n`);
}

/** The examples at the end of a command's --help. */
export function helpExamples(...examples: string[]): string {
  return ['', 'Examples:', ...examples.map((example) => `  $ espalier ${example}`)].join('\n');
}
