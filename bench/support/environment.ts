import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, cpus, loadavg, totalmem } from 'node:os';
import { Engine } from '../../src/native/engine.js';
import { version } from '../../src/version.js';
import type { BenchContext } from './benchmark.js';

/** What the figures depend on. */
export function environment({ threads, python }: BenchContext): Record<string, string> {
  using engine = Engine.open({ threads });
  const packageVersion = (name: string): string =>
    JSON.parse(readFileSync(createRequire(import.meta.url).resolve(`${name}/package.json`), 'utf8')).version;
  return {
    cpu: `${cpus()[0]?.model}, ${cpus().length} cores, ${arch()}`,
    memory: `${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    load: loadavg()[0]?.toFixed(1) ?? '',
    espalier: version,
    instructions: engine.detail,
    threads: String(threads),
    node: process.version,
    'onnxruntime-node': packageVersion('onnxruntime-node'),
    ...(python && pythonVersions(python)),
    date: new Date().toISOString().slice(0, 10),
  };
}

function pythonVersions(python: string): Record<string, string> {
  const script = `import json, platform, torch, transformers
print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__, "python": platform.python_version()}))`;
  return JSON.parse(execFileSync(python, ['-c', script], { encoding: 'utf8' }));
}
