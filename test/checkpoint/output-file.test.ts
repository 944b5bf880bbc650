import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { checkOutput } from '../../src/checkpoint/output-directory.js';
import { writeOutputFile } from '../../src/checkpoint/output-file.js';
import { temporaryDirectory } from '../support/temporary.js';

const directory = temporaryDirectory();
let count = 0;
/** A path that does not exist, in a directory of its own that may. */
function fresh({ parent = true } = {}): string {
  const folder = join(directory, `case-${count++}`);
  if (parent) mkdirSync(folder);
  return join(folder, 'out.bin');
}
const pieces = [Buffer.from('one '), Buffer.alloc(0), Buffer.from('two')];

t.test('pieces follow one another, and nothing else is left', async (t) => {
  const file = fresh({ parent: false });
  await writeOutputFile(file, pieces);
  t.equal(readFileSync(file, 'utf8'), 'one two');
  t.strictSame(readdirSync(join(file, '..')), ['out.bin']);
});

t.test('an existing file is refused and untouched, and with force replaced', async (t) => {
  const file = fresh();
  writeFileSync(file, 'old');
  await t.rejects(writeOutputFile(file, pieces), { code: 'ERR_OUTPUT', message: /exists .*--force/ });
  t.equal(readFileSync(file, 'utf8'), 'old');
  await writeOutputFile(file, pieces, { force: true });
  t.equal(readFileSync(file, 'utf8'), 'one two');
});

t.test('a link to what is not there yet leads to the output, which may have a long name', async (t) => {
  const file = fresh();
  const made = join(file, '..', 'n'.repeat(250));
  symlinkSync(made, file);
  await writeOutputFile(file, pieces);
  t.equal(readFileSync(made, 'utf8'), 'one two');
  t.ok(lstatSync(file).isSymbolicLink());
});

t.test('force does not replace what is no file', async (t) => {
  const file = fresh();
  mkdirSync(file);
  await t.rejects(writeOutputFile(file, pieces, { force: true }), { code: 'ERR_OUTPUT', message: /no regular file/ });
  t.ok(statSync(file).isDirectory());
});

t.test('an abort between two pieces leaves nothing', async (t) => {
  const file = fresh({ parent: false });
  const abort = new AbortController();
  const aborting = {
    *[Symbol.iterator]() {
      yield Buffer.from('one ');
      abort.abort();
      yield Buffer.from('two');
    },
  };
  const write = writeOutputFile(file, aborting as unknown as Uint8Array[], { signal: abort.signal });
  await t.rejects(write, { code: 'ERR_CANCELLED' });
  t.notOk(existsSync(join(file, '..')), 'nor the parent made for it');
});

t.test('an output that cannot be made is one error', async (t) => {
  await t.rejects(writeOutputFile('/proc/out.bin', pieces), { code: 'ERR_OUTPUT', message: /^cannot write \/proc/ });
  const file = fresh();
  writeFileSync(file, '');
  await t.rejects(writeOutputFile(join(file, 'below'), pieces), { code: 'ERR_OUTPUT', message: /^cannot write/ });
});

t.test('an empty path is refused, with force too', async (t) => {
  await t.rejects(writeOutputFile('', pieces, { force: true }), { code: 'ERR_OPTION', message: /path .* is empty/ });
  const filled = fresh();
  writeFileSync(filled, 'precious');
  const module = new URL('../../src/checkpoint/output-directory.js', import.meta.url).href;
  const code = `
    import { writeDirectory } from ${JSON.stringify(module)};
    await writeDirectory('', { force: true }, async () => {}).catch(({ code }) => console.log(code));`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    cwd: join(filled, '..'),
    encoding: 'utf8',
  });
  t.equal(stdout, 'ERR_OPTION\n');
  t.equal(readFileSync(filled, 'utf8'), 'precious', 'the working directory is not replaced');
});

t.test('force replaces a checkpoint, but nothing that is more than one', (t) => {
  const made = (...files: string[]) => {
    const output = join(fresh(), '..');
    for (const file of files) {
      mkdirSync(join(output, file, '..'), { recursive: true });
      writeFileSync(join(output, file), '{}');
    }
    return output;
  };
  const checkpoint = ['config.json', 'model.safetensors'];
  checkOutput(made(), true);
  checkOutput(made(...checkpoint, 'tokenizer.json'), true);
  for (const files of [['config.json', 'main.py'], [...checkpoint, '.git/HEAD'], ['model.safetensors']]) {
    const refused = { code: 'ERR_OUTPUT', message: /is no checkpoint directory, or holds more/ };
    t.throws(() => checkOutput(made(...files), true), refused, files.join());
  }
  const source = made(...checkpoint);
  t.throws(() => checkOutput(`${source}/.`, true, [source]), { code: 'ERR_OPTION', message: /is made of/ });
  t.end();
});

t.test('a full disk is one error and leaves the old file', async (t) => {
  const file = fresh();
  writeFileSync(file, 'old');
  const module = new URL('../../src/checkpoint/output-file.js', import.meta.url).href;
  const code = `
    import { writeOutputFile } from ${JSON.stringify(module)};
    const pieces = [new Uint8Array(65536)];
    await writeOutputFile(${JSON.stringify(file)}, pieces, { force: true }).catch(({ code, message }) => console.log(code, message));`;
  // A limit on the size of files makes writing fail half-way, as a full disk does; the test runner's own hooks write too.
  const command = 'unset NODE_OPTIONS; ulimit -f 4; exec "$0" --input-type=module -e "$1"';
  const { stdout } = spawnSync('bash', ['-c', command, process.execPath, code], { encoding: 'utf8' });
  t.match(stdout, /^ERR_OUTPUT cannot write .*EFBIG/);
  t.equal(readFileSync(file, 'utf8'), 'old');
  t.strictSame(readdirSync(join(file, '..')), ['out.bin']);
});
