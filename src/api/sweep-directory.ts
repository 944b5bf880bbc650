import { existsSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { writeOutputFile } from '../checkpoint/output-file.js';
import { filesIn } from '../checkpoint/work-directory.js';
import { EspalierError } from '../native/errors.js';
import { oneLine } from '../quote.js';
import { type About, htmlPage, type Page } from '../report/page.js';
import type { LoadedModel } from './model.js';

interface AnyReport {
  command: string;
}

/** What tells one kind of sweep from another. */
export interface SweepKind<Sweep extends AnyReport, Made extends AnyReport> {
  /** Where the sweep's own report is kept. */
  file: string;
  command: Sweep['command'];
  /** Names of its checkpoints and of whatever else it keeps in a directory. */
  names: RegExp;
  /** A checkpoint's report, beside the weights, and what commands it may be of. */
  madeFile: string;
  madeBy: readonly Made['command'][];
  page(report: Sweep, about: About): Page;
}

/** Whether latencies of an earlier sweep can stand beside new ones. */
export const measuredAlike = (
  earlier: { device: string; threads: number } | undefined,
  { device, threads }: LoadedModel,
): boolean => earlier?.device === device && earlier.threads === threads;

/**
 * Where a sweep keeps its checkpoints, its report and report.html. Each of them appears whole or not at all, so that a
 * sweep that was killed goes on with what is there, and two at the same time do not disturb each other.
 */
export class SweepDirectory<Sweep extends AnyReport & { settings: object }, Made extends AnyReport> {
  /** Of another sweep, to be replaced by the first report of this one. */
  #stale: string[] = [];

  constructor(
    readonly path: string,
    private readonly kind: SweepKind<Sweep, Made>,
  ) {}

  /**
   * What an earlier sweep with the same settings left. Throws ERR_OUTPUT where the directory holds anything else; with
   * `force` another sweep's results are removed once this one has a report to write.
   */
  open(settings: Sweep['settings'], force: boolean | undefined): Sweep | undefined {
    const { file, command, names: own } = this.kind;
    const names = filesIn(this.path);
    if (names.length === 0) return undefined;
    if (!names.includes(file)) throw this.#refused('is no directory of a sweep');
    const found = this.#read<Sweep>(file, [command]);
    if (force) {
      this.#stale = names.filter((name) => own.test(name));
      return undefined;
    }
    // As they are once they were written: without what is undefined.
    if (isDeepStrictEqual(found.settings, JSON.parse(JSON.stringify(settings)))) return found;
    throw this.#refused('holds a sweep with other settings', 'give another directory, or --force to replace it');
  }

  /** A checkpoint, or whatever else has a name. */
  at(name: string): string {
    return join(this.path, name);
  }

  /** What making a checkpoint reported, once it is there. */
  finished(name: string): Made | undefined {
    const { madeFile, madeBy } = this.kind;
    const file = join(name, madeFile);
    return existsSync(this.at(file)) && !this.#stale.includes(name) ? this.#read<Made>(file, madeBy) : undefined;
  }

  async write(report: Sweep, about: About, signal: AbortSignal | undefined): Promise<void> {
    for (const name of this.#stale.splice(0)) await this.remove(name);
    const page = htmlPage(this.kind.page(report, about));
    await this.#write(this.kind.file, `${JSON.stringify(report, null, 2)}\n`, signal);
    await this.#write('report.html', page, signal);
  }

  async remove(name: string): Promise<void> {
    try {
      await rm(this.at(name), { recursive: true, force: true });
    } catch (error) {
      throw this.#refused(`has a ${name} that cannot be removed: ${oneLine((error as Error).message)}`);
    }
  }

  #write(name: string, text: string, signal: AbortSignal | undefined): Promise<void> {
    return writeOutputFile(this.at(name), [Buffer.from(text)], { force: true, signal });
  }

  #read<Report extends AnyReport>(file: string, commands: readonly Report['command'][]): Report {
    try {
      const report = JSON.parse(readFileSync(this.at(file), 'utf8'));
      if (commands.includes(report.command)) return report;
    } catch (error) {
      throw this.#refused(`has a ${file} that cannot be read: ${oneLine((error as Error).message)}`);
    }
    throw this.#refused(`has a ${file} that is not of espalier ${commands.join(' or ')}`);
  }

  #refused(reason: string, remedy = 'give another directory'): EspalierError {
    return new EspalierError('ERR_OUTPUT', `${this.path} ${reason} (${remedy})`);
  }
}
