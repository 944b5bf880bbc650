// Everything CI checks: set-up, formatting and lint, native tests by themselves and under sanitizers, then the TypeScript
// tests. `--quick` leaves out the sanitizers and the native fuzzing. The last line counts tests.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import { createInterface } from 'node:readline';
import { checkNativeFormat } from './clang-format.mjs';
import { checkKernelResources } from './kernel-resources.mjs';
import { installCudaToolkit, setup } from './setup.mjs';
import { buildPackages, buildPreset, jobs, root, runModule, testPackages } from './tools.mjs';

const quick = argv.includes('--quick');
const total = { passed: 0, failed: 0, skipped: 0 };

await phase('Set-up and type check', () => setup([...buildPackages, ...testPackages]));
await phase('Format and lint', () => {
  runModule('@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.']);
  checkNativeFormat();
});
for (const preset of quick ? ['release'] : ['release', 'asan', 'tsan']) {
  await phase(`Native tests, ${preset}`, () => testNative(preset));
}
if (!quick) await phase('CUDA plugin', testCudaBuild);
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

/** Builds a CMake preset, runs ctest and adds its counts; a failure is counted, and later tests still run. */
function testNative(preset) {
  buildPreset(preset);
  const results = join(root, `build/native-${preset}/ctest.xml`);
  rmSync(results, { force: true });
  const options = ['--preset', preset, '--parallel', jobs, '--no-tests=error', '--output-junit', results];
  const { status } = spawnSync('ctest', [...options, ...(quick ? ['--label-regex', 'quick'] : [])], {
    cwd: root,
    stdio: 'inherit',
  });
  const suite = /<testsuite\b[^>]*>/s.exec(readFileSync(results, 'utf8'))[0];
  const count = (attribute) => Number(new RegExp(`\\b${attribute}="(\\d+)"`).exec(suite)[1]);
  const failed = count('failures') + count('disabled');
  add({ passed: count('tests') - failed - count('skipped'), failed, skipped: count('skipped') });
  if (status !== 0 && failed === 0) total.failed += 1;
}

/** Compiles and links the plugin for every architecture, and compares what the compiler made of the kernels. */
function testCudaBuild() {
  if (!installCudaToolkit()) {
    console.log('skipped: the CUDA toolkit cannot be installed here');
    add({ passed: 0, failed: 0, skipped: 1 });
    return;
  }
  const failed = checkKernelResources() ? 0 : 1;
  add({ passed: 2 - failed, failed, skipped: 0 });
}

/** Runs tap on the compiled tests; shows a line a file and, for a file that failed, all it printed. */
async function runTap() {
  // From the sources: a test whose source is gone may still lie in dist/.
  const files = readdirSync(join(root, 'test'), { recursive: true })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join('dist/test', name.replace(/\.ts$/, '.js')));
  // With the plugins of .taprc, before anything is resolved with those of a fresh installation.
  runModule('tap/dist/esm/run.mjs', ['build']);
  const tap = spawn(
    process.execPath,
    [join(root, 'node_modules/tap/dist/esm/run.mjs'), '--reporter=tap', `--jobs=${jobs}`, ...files],
    { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exit = once(tap, 'exit');
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
  const [code] = await exit;
  if (code !== 0 && count('fail') === 0) {
    console.log(section.join('\n'));
    total.failed += 1;
  }
}
