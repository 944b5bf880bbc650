import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Example } from '../../src/data/examples.js';
import { repoRoot } from './paths.js';

const context =
  'the old house on the hill was built in 1912 by two brothers. nobody has lived there since 1948, when the younger one left.';

const gold = (text: string) => ({ text, start: context.indexOf(text) });

/** Questions about texts that need one window and several. */
export const questions: Example[] = [
  { id: 'built', text: 'when was it built?', pair: context, label: [gold('1912'), gold('in 1912')] },
  { id: 'who', text: 'who left?', pair: context, label: [gold('the younger one')] },
  { id: 'short', text: 'who?', pair: 'two brothers.', label: [{ text: 'two brothers', start: 0 }] },
  { id: 'where', text: 'where is the house?', pair: context, label: [gold('on the hill')] },
];

/** The official JSON of some questions. */
export function officialJson(examples: readonly Example[]): string {
  const paragraphs = examples.map(({ id, text, pair, label }) => ({
    context: pair,
    qas: [
      {
        id,
        question: text,
        answers: (label as { text: string; start: number }[]).map((answer) => ({
          text: answer.text,
          answer_start: answer.start,
        })),
      },
    ],
  }));
  return JSON.stringify({ version: '1.1', data: [{ title: 'House', paragraphs }] });
}

/** A random model of 64 positions with a tokenizer of single characters. */
export function writeTinyQuestionAnswering(directory: string): string {
  cpSync(join(repoRoot, 'test/golden/bert-span'), directory, { recursive: true });
  const characters = [...'abcdefghijklmnopqrstuvwxyz0123456789'];
  const pieces = characters.map((character) => `##${character}`);
  const vocabulary = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', ...'.,?', ...characters, ...pieces];
  writeFileSync(join(directory, 'vocab.txt'), vocabulary.join('\n'));
  writeFileSync(join(directory, 'tokenizer_config.json'), '{"do_lower_case": true}');
  return directory;
}
