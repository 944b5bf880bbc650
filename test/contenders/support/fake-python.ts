import { writeFileSync } from 'node:fs';

/** What a fake answers to each request: JavaScript. */
export interface FakeAnswers {
  load?: string;
  prepare?: string;
  run?: string;
  logits?: string;
}

/** An executable in a Python's place; `count` is how many requests of the kind there were before. */
export function writeFakePython(file: string, answers: FakeAnswers): string {
  const usual = { load: `{ torch: '2.0.0' }`, prepare: '{}', run: '{ seconds: 0.5 }', logits: '{ logits: [] }' };
  const functions = Object.entries({ ...usual, ...answers }).map(
    ([request, answer]) => `${request}: (count) => (${answer})`,
  );
  return writeExecutable(
    file,
    `const { createInterface } = require('node:readline');
     const { writeFileSync, writeSync } = require('node:fs');
     const answers = { ${functions.join(',\n')} };
     const counts = {};
     createInterface({ input: process.stdin }).on('line', (line) => {
       const { request } = JSON.parse(line);
       counts[request] ??= 0;
       const answer = answers[request](counts[request]++);
       if (answer !== undefined) writeSync(1, JSON.stringify(answer) + '\\n');
     });`,
  );
}

export function writeExecutable(file: string, code: string): string {
  writeFileSync(file, `#!${process.execPath}\n${code}`, { mode: 0o755 });
  return file;
}
