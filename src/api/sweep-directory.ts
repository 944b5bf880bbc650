import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { writeOutputFile } from '../checkpoint/output-file.js';
import { EspalierError } from '../native/errors.js';
import { oneLine } from '../quote.js';
import { type About, htmlPage } from '../report/page.js';
import type { PruneReport } from '../report/prune-report.js';
import { sweepPage } from '../report/sweep-page.js';
import type { SweepReport, SweepSettings } from '../report/sweep-report.js';

/**
 * Where a sweep keeps its checkpoints, sweep.json and report.html. Each of them appears whole or not at all, so that a
 * sweep that was killed goes on with the budgets that are there, and two at the same time do not disturb each other.
 */
export class SweepDirectory {
  constructor(readonly path: string) {}

  /**
   * What an earlier sweep with the same settings left. Throws ERR_OUTPUT where the directory holds anything else; with
   * `force` another sweep's results are removed first.
   */
  async open(settings: SweepSettings, force: boolean | undefined): Promise<SweepReport | undefined> {
    const names = existsSync(this.path) ? readdirSync(this.path) : [];
    if (names.length === 0) return undefined;
    if (!names.includes('sweep.json')) throw this.#refused('is no directory of a sweep');
    const found = this.#read<SweepReport>('sweep.json', 'sweep');
    if (force) {
      const budgets = found.budgets.map(({ directory }) => basename(directory));
      for (const name of ['sweep.json', 'report.html', ...budgets]) await this.#remove(name);
      return undefined;
    }
    if (isDeepStrictEqual(found.settings, settings)) return found;
    throw this.#refused('holds a sweep with other settings', 'give another directory, or --force to replace it');
  }

  budget(keep: number): string {
    return join(this.path, `keep-${keep}`);
  }

  /** What pruning to a budget reported, once its checkpoint is there. */
  finished(keep: number): PruneReport | undefined {
    const file = join(`keep-${keep}`, 'pruning.json');
    return existsSync(join(this.path, file)) ? this.#read<PruneReport>(file, 'prune') : undefined;
  }

  async write(report: SweepReport, about: About, signal: AbortSignal | undefined): Promise<void> {
    const page = htmlPage(sweepPage(report, about));
    await this.#write('sweep.json', `${JSON.stringify(report, null, 2)}\n`, signal);
    await this.#write('report.html', page, signal);
  }

  #write(name: string, text: string, signal: AbortSignal | undefined): Promise<void> {
    return writeOutputFile(join(this.path, name), [Buffer.from(text)], { force: true, signal });
  }

  async #remove(name: string): Promise<void> {
    try {
      await rm(join(this.path, name), { recursive: true, force: true });
    } catch (error) {
      throw this.#refused(`has a ${name} that cannot be removed: ${oneLine((error as Error).message)}`);
    }
  }

  #read<Report extends { command: string }>(file: string, command: Report['command']): Report {
    try {
      const report = JSON.parse(readFileSync(join(this.path, file), 'utf8'));
      if (report.command === command) return report;
    } catch (error) {
      throw this.#refused(`has a ${file} that cannot be read: ${oneLine((error as Error).message)}`);
    }
    throw this.#refused(`has a ${file} that is not of espalier ${command}`);
  }

  #refused(reason: string, remedy = 'give another directory'): EspalierError {
    return new EspalierError('ERR_OUTPUT', `${this.path} ${reason} (${remedy})`);
  }
}
