import { writeOutputFile } from '../checkpoint/output-file.js';
import { benchPage } from '../report/bench-page.js';
import type { BenchReport } from '../report/bench-report.js';
import { type About, htmlPage } from '../report/page.js';
import { prunePage } from '../report/prune-page.js';
import type { PruneReport } from '../report/prune-report.js';

export interface PageOptions extends About {
  /** Replace an existing file. */
  force?: boolean | undefined;
  /** Aborting rejects with ERR_CANCELLED. */
  signal?: AbortSignal | undefined;
}

/**
 * Writes a report as a page with charts, in one HTML file that needs no network.
 *
 * @throws EspalierError ERR_OUTPUT, ERR_CANCELLED
 */
export async function writeReportPage(
  report: PruneReport | BenchReport,
  file: string,
  { force, signal, ...about }: PageOptions,
): Promise<void> {
  const page = report.command === 'prune' ? prunePage(report, about) : benchPage(report, about);
  await writeOutputFile(file, [Buffer.from(htmlPage(page))], { force, signal });
}
