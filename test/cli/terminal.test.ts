import { stripVTControlCharacters } from 'node:util';
import t from 'tap';
import { showProgress } from '../../src/cli/terminal.js';

function record(isTTY: boolean, quiet: boolean): string {
  let written = '';
  const stream = { isTTY, write: (text: string) => (written += text) };
  const onProgress = showProgress(stream, quiet);
  for (const done of [0, 1, 2]) onProgress({ stage: 'gradients', done, total: 2 });
  onProgress({ stage: 'tune', done: 1, total: 1 });
  return written;
}

t.test('a terminal gets a bar that is redrawn and ends with its stage', async (t) => {
  const lines = stripVTControlCharacters(record(true, false)).split('\n');
  t.match(lines[0], /^\rgradients .*0\/2.*\rgradients .*2\/2 {2}0\.0 s$/);
  t.match(lines[1], /^\rtune .*1\/1 {2}0\.0 s$/);
  t.equal(lines.length, 3);
});

t.test('elsewhere a stage is one plain line', async (t) => {
  t.equal(record(false, false), 'gradients: 2/2, 0.0 s\ntune: 1/1, 0.0 s\n');
});

t.test('quiet is quiet', async (t) => {
  t.equal(record(true, true), '');
});
