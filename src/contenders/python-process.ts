import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { throwIfAborted } from '../native/cancel.js';
import { EspalierError } from '../native/errors.js';
import { oneLine, quote } from '../quote.js';
import { failedRun } from './runtime.js';

export interface PythonOptions {
  /** The interpreter: a path, or a name in PATH. */
  python: string;
  /** Aborting ends the process. */
  signal?: AbortSignal | undefined;
}

/**
 * A Python with torch and transformers that runs a script beside this process: one line of JSON a request, one an answer,
 * `{"error": ...}` where it failed. The script ends when its input does, so it never outlives this process.
 */
export class PythonProcess implements AsyncDisposable {
  readonly #python: string;
  readonly #signal: AbortSignal | undefined;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;
  /** Why it ended. */
  readonly #end: Promise<string>;
  #answered = false;

  /** Throws ERR_OPTION where the system refuses at once to start it, ERR_CANCELLED. */
  constructor(script: string, { python, signal }: PythonOptions) {
    throwIfAborted(signal);
    this.#python = python;
    this.#signal = signal;
    try {
      this.#child = spawn(python, [script], { signal, killSignal: 'SIGKILL' });
    } catch (error) {
      throw this.#failure((error as Error).message);
    }
    // Whoever writes to a process that has ended learns why from its end.
    this.#child.stdin.on('error', () => {});
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.#end = endOf(this.#child);
  }

  /** Throws ERR_OPTION where the process fails or has ended, ERR_CANCELLED; the process is gone then. */
  async ask<Answer extends object>(request: object): Promise<Answer> {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    const ended = this.#end.then(() => undefined);
    const line = await Promise.race([this.#answers.next().then(({ value }) => value as string | undefined), ended]);
    const answer = line === undefined ? { error: await this.#end } : parseAnswer(line);
    if (!('error' in answer)) {
      this.#answered = true;
      return answer as Answer;
    }
    await this[Symbol.asyncDispose]();
    throwIfAborted(this.#signal);
    throw this.#failure(String(answer.error));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { stdin, stdout, stderr } = this.#child;
    // The end of its input also ends a Python that a script of the user's wraps.
    for (const stream of [stdin, stdout, stderr]) stream.destroy();
    this.#child.kill('SIGKILL');
    await this.#end;
  }

  #failure(reason: string): EspalierError {
    if (this.#answered) return failedRun('PyTorch', reason);
    return new EspalierError(
      'ERR_OPTION',
      `PyTorch does not run in ${quote(this.#python)}: ${oneLine(reason).slice(0, 300)} (give --python PATH, a Python that has torch and transformers)`,
    );
  }
}

function endOf(child: ChildProcessWithoutNullStreams): Promise<string> {
  let said = '';
  // What has shut its output answers no more, whether or not it lives on.
  child.stdout.on('end', () => setTimeout(() => child.kill('SIGKILL'), 1000).unref());
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4096);
  });
  return new Promise((resolve) => {
    child.on('error', ({ message }) => resolve(message));
    child.on('close', (code, signal) => {
      const lastLine = said.trimEnd().split('\n').at(-1);
      resolve(signal === null && lastLine ? lastLine : `it ended with ${signal ?? `exit code ${code}`}`);
    });
  });
}

/** Anything but an object counts as a failure: not every program is a Python. */
function parseAnswer(line: string): object {
  try {
    const answer: unknown = JSON.parse(line);
    if (typeof answer === 'object' && answer !== null) return answer;
  } catch {}
  return { error: `it answered ${quote(line)}` };
}
