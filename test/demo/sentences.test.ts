import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { demoData, repoRoot } from '../support/paths.js';
import { temporaryDirectory } from '../support/temporary.js';

const rows = (name: 'train' | 'eval') => readFileSync(demoData(name), 'utf8').trimEnd().split('\n').slice(1);
const train = rows('train');
const evaluation = rows('eval');
const sentence = (row: string) => row.slice(0, row.indexOf('\t'));

t.test('no sentence is in both files, or twice in one', async (t) => {
  t.equal(new Set([...train, ...evaluation].map(sentence)).size, train.length + evaluation.length);
});

t.test('both labels are equally frequent', async (t) => {
  for (const file of [train, evaluation]) {
    t.equal(file.filter((row) => row.endsWith('\t1')).length, file.length / 2);
    t.equal(file.filter((row) => row.endsWith('\t0')).length, file.length / 2);
  }
});

t.test('lengths vary from a few words to more than forty', async (t) => {
  const lengths = evaluation.map((row) => sentence(row).split(' ').length).sort((a, b) => a - b);
  t.ok((lengths[0] as number) <= 3);
  t.ok((lengths.at(-1) as number) > 40);
});

t.test('make_sentences.mjs writes exactly these files', async (t) => {
  const copy = temporaryDirectory();
  for (const name of ['make_sentences.mjs', 'fragments.mjs']) cpSync(join(repoRoot, 'demo', name), join(copy, name));
  execFileSync(process.execPath, [join(copy, 'make_sentences.mjs')]);
  for (const name of ['train', 'eval'] as const) {
    t.equal(readFileSync(join(copy, `${name}.tsv`), 'utf8'), readFileSync(demoData(name), 'utf8'));
  }
});
