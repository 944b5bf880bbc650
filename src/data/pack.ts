import type { PackedBatch } from '../native/addon.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { Example } from './examples.js';

/** Tokenises examples, each cut to `maxLength` tokens, and joins them without padding, in order. */
export function packExamples(tokenizer: Tokenizer, examples: readonly Example[], maxLength: number): PackedBatch {
  const encodings = examples.map(({ text, pair }) => tokenizer.encode(text, pair, { maxLength }));
  const offsets = new Int32Array(encodings.length + 1);
  for (const [index, { ids }] of encodings.entries()) offsets[index + 1] = (offsets[index] as number) + ids.length;
  const ids = new Int32Array(offsets.at(-1) as number);
  const tokenTypes = new Int32Array(ids.length);
  for (const [index, encoding] of encodings.entries()) {
    ids.set(encoding.ids, offsets[index]);
    tokenTypes.set(encoding.typeIds, offsets[index]);
  }
  return { ids, tokenTypes, offsets };
}
