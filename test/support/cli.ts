import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { repoRoot } from './paths.js';

export interface CliResult {
  /** Exit code, or the name of the signal that ended the process. */
  status: number | string | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  /** All of standard input; it stays open and empty where this is null. */
  input?: string | null;
  /** Beside this process's own environment. */
  env?: Record<string, string>;
  /** Called with the running process, to disturb it. */
  onStart?: (child: ChildProcess) => void;
}

/** Runs the command line as users do, in a process of its own. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const main = join(repoRoot, 'dist/src/cli/main.js');
  const env = { ...process.env, ...options.env };
  const child = spawn(process.execPath, [main, ...args], { cwd: repoRoot, stdio: 'pipe', env });
  child.stdin.on('error', () => {});
  if (options.input !== null) child.stdin.end(options.input ?? '');
  options.onStart?.(child);
  const result: CliResult = { status: null, stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      result[name] += text;
    });
  }
  const [code, signal] = await once(child, 'close');
  return { ...result, status: code ?? signal };
}
