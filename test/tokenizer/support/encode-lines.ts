// Usage: node dist/test/tokenizer/support/encode-lines.js TOKENIZER_DIRECTORY < CASES > ENCODINGS
// Each line of CASES is the JSON of {text, pair?, maxLength?, stride?}; with a stride the encodings of all windows come out.
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { loadTokenizer } from '../../../src/tokenizer/tokenizer.js';

const tokenizer = await loadTokenizer(process.argv[2] as string);
for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
  const { text, pair, maxLength, stride } = JSON.parse(line);
  const encodings =
    stride === undefined
      ? [tokenizer.encode(text, pair, { maxLength })]
      : tokenizer.encodeWindows(text, pair, { maxLength, stride });
  if (!process.stdout.write(`${JSON.stringify(encodings)}\n`)) await once(process.stdout, 'drain');
}
