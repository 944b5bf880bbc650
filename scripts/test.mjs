// Everything CI checks: set-up, formatting and lint, native tests on every instruction set and under sanitizers, then the
// TypeScript tests. `--quick` leaves out the sanitizers and all but the best instruction set. The last line counts tests.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import { createInterface } from 'node:readline';
import { checkNativeFormat } from './clang-format.mjs';
import { setup } from './setup.mjs';
import { buildPackages, jobs, root, run, runModule, testPackages } from './tools.mjs';

const quick = argv.includes('--quick');
const total = { passed: 0, failed: 0, skipped: 0 };

await phase('Set-up and type check', () => setup([...buildPackages, ...testPackages]));
await phase('Format and lint', () => {
  runModule('@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.']);
  checkNativeFormat();
});
await phase('Native tests', () => {
  buildPreset('release');
  for (const isa of quick ? ['auto'] : instructionSets()) testPreset('release', { ESPALIER_CPU_ISA: isa });
});
for (const sanitizer of quick ? [] : ['asan', 'tsan']) {
  await phase(`Native tests under ${sanitizer}`, () => {
    buildPreset(sanitizer);
    testPreset(sanitizer, {});
  });
}
await phase('TypeScript tests', runTap);

console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;

async function phase(title, work) {
  console.log(`== ${title}`);
  const start = performance.now();
  await work();
  console.log(`== ${title}: ${((performance.now() - start) / 1000).toFixed(1)} s\n`);
}

function add(counts) {
  for (const key of Object.keys(total)) total[key] += counts[key];
}

/** The CPU kernels this machine can run; each set of kernels is tested by itself. */
function instructionSets() {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1].split(' '));
  const sets = ['portable'];
  if (flags.has('avx2') && flags.has('fma')) sets.push('avx2');
  if (flags.has('avx512f')) sets.push('avx512');
  return sets;
}

function buildPreset(name) {
  run('cmake', ['--preset', name, '--log-level=WARNING']);
  run('cmake', ['--build', '--preset', name, '--parallel', jobs, '--', '--silent']);
}

/** Runs ctest and adds its counts; a failure is counted and later tests still run. */
function testPreset(name, environment) {
  const label = Object.values(environment)[0] ?? name;
  const results = join(root, `build-${name}`, `ctest-${label}.xml`);
  rmSync(results, { force: true });
  const { status } = spawnSync(
    'ctest',
    ['--preset', name, '--parallel', jobs, '--progress', '--no-tests=error', '--output-junit', results],
    { cwd: root, stdio: 'inherit', env: { ...process.env, ...environment } },
  );
  const suite = /<testsuite\b[^>]*>/s.exec(readFileSync(results, 'utf8'))[0];
  const count = (attribute) => Number(new RegExp(`\\b${attribute}="(\\d+)"`).exec(suite)[1]);
  const failed = count('failures') + count('disabled');
  if (status !== 0 && failed === 0) total.failed += 1;
  add({ passed: count('tests') - failed - count('skipped'), failed, skipped: count('skipped') });
}

/** Runs tap on the compiled tests; shows a line a file and, for a file that failed, all it printed. */
async function runTap() {
  // From the sources: a test whose source is gone may still lie in dist/.
  const files = readdirSync(join(root, 'test'), { recursive: true })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join('dist/test', name.replace(/\.ts$/, '.js')));
  mkdirSync(join(root, 'build'), { recursive: true });
  const tap = spawn(
    process.execPath,
    [join(root, 'node_modules/tap/dist/esm/run.mjs'), '--reporter=tap', `--jobs=${jobs}`, ...files],
    { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let section = [];
  let counts;
  for await (const line of createInterface({ input: tap.stdout })) {
    section.push(line);
    if (line.startsWith('ok ')) console.log(line);
    else if (line.startsWith('not ok ')) console.log(section.join('\n'));
    else if (line.startsWith('# { total:')) counts = line;
    if (/^(not )?ok /.test(line)) section = [];
  }
  const count = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(counts ?? '')?.[1] ?? 0);
  add({ passed: count('pass'), failed: count('fail'), skipped: count('skip') + count('todo') });
  if (tap.exitCode !== 0 && count('fail') === 0) {
    console.log(section.join('\n'));
    total.failed += 1;
  }
}
