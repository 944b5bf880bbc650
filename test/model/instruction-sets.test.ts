import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';

/** Runs a script in a process whose engine is told which instruction set to use. */
function runWith(isa: string, script: string) {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const env = { ...process.env, ESPALIER_CPU_ISA: isa };
  return spawnSync(process.execPath, [path], { env, encoding: 'utf8' });
}

for (const isa of ['portable', 'avx2', 'avx512']) {
  const opened = runWith(isa, './support/open-cpu.js').stdout;
  const skip = opened === `${isa}\n` ? false : opened;
  t.test(`${isa} code meets the golden values`, { skip }, async (t) => {
    const { status, stdout } = runWith(isa, './golden.test.js');
    t.equal(status, 0, 'golden.test passes', { stdout });
  });
}

t.match(runWith('portable', './support/open-cpu.js').stdout, /^portable/, 'the portable code runs everywhere');
t.match(
  runWith('mmx', './support/open-cpu.js').stdout,
  /ERR_INVALID_ARGUMENT: .*portable, avx2 or avx512/,
  'an unknown one is refused',
);
