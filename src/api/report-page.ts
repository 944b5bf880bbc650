import { writeOutputFile } from '../checkpoint/output-file.js';
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
  report: PruneReport,
  file: string,
  { force, signal, ...about }: PageOptions,
): Promise<void> {
  await writeOutputFile(file, [Buffer.from(htmlPage(prunePage(report, about)))], { force, signal });
}
