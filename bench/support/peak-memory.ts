// Prunes a model of BERT-base size and prints, as JSON, the most memory that this process ever held.
import { readFileSync } from 'node:fs';
import { bertBaseModel } from './models.js';
import { pruneOnMrpc } from './prune-run.js';

const run = await pruneOnMrpc(async () => bertBaseModel(), Number(process.argv[2]));
if (run !== undefined) {
  const [, kibibytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) as RegExpExecArray;
  const { gradients, search, rearrange, tune } = run.seconds;
  const seconds = gradients + search + rearrange + tune;
  console.log(JSON.stringify({ 'peak resident GiB': Number(kibibytes) / 2 ** 20, ...run.seconds, seconds }));
}
