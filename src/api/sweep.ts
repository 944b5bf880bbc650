import type { Example } from '../data/examples.js';
import { type LatencyProfile, readProfile } from '../latency/latency-profile.js';
import { environmentOf } from '../native/environment.js';
import { EspalierError } from '../native/errors.js';
import { progressOf } from '../progress.js';
import { checkKeep } from '../prune/prune.js';
import type { MeasuredLatency, PruneReport } from '../report/prune-report.js';
import { sweepPage } from '../report/sweep-page.js';
import type { SweepReport, SweepSettings } from '../report/sweep-report.js';
import { resolveTask, type Task } from '../tasks/task.js';
import { version } from '../version.js';
import { checkCount } from './check-count.js';
import { examplesFrom } from './evaluate.js';
import { measureCheckpoint } from './measure-latency.js';
import type { LoadedModel } from './model.js';
import { PruneStudy, type StudyOptions } from './prune-study.js';
import { measuredAlike, SweepDirectory, type SweepKind } from './sweep-directory.js';
import { dataIdentity, workSettings } from './work-settings.js';

export interface SweepOptions extends Omit<StudyOptions, 'stages' | 'latency'> {
  /** What to prune to, each above 0 and at most 1. */
  keeps: readonly number[];
  /** A directory for the checkpoints, `keep-0.5` for example, sweep.json and report.html. */
  output: string;
  /** Budgets that are pruned at once, 1 by default: one alone uses all threads, and each needs memory of its own. */
  jobs?: number | undefined;
  /** Start anew in the directory of another sweep. */
  force?: boolean | undefined;
  /** The command line, for the page. */
  command?: string | undefined;
}

const kind: SweepKind<SweepReport, PruneReport> = {
  file: 'sweep.json',
  command: 'sweep',
  names: /^keep-[\d.e-]+$/,
  madeFile: 'pruning.json',
  madeBy: ['prune'],
  page: sweepPage,
};

const nameOf = (keep: number): string => `keep-${keep}`;

/**
 * Prunes a model to several budgets, which share gradients and error curves, and measures the latency of each in turns
 * with the given model's. Started again after it was stopped or killed, it goes on with what is there.
 *
 * @throws EspalierError ERR_OPTION, ERR_TARGET where a budget cannot be reached, ERR_TASK, ERR_DATA, ERR_OUTPUT,
 * ERR_NON_FINITE, ERR_OUT_OF_MEMORY, ERR_CANCELLED
 */
export async function sweep(model: LoadedModel, options: SweepOptions): Promise<SweepReport> {
  const { output, jobs = 1, command, force, signal, onProgress } = options;
  if (options.keeps.length === 0) {
    throw new EspalierError('ERR_OPTION', 'there is no budget to prune to (give one or more)');
  }
  for (const keep of options.keeps) checkKeep(keep);
  checkCount('jobs', jobs);
  const task = resolveTask(model.checkpoint, options.task);
  const directory = new SweepDirectory(output, kind);
  // Once for all that needs texts: standard input can be read no more often.
  const train = await examplesFrom(options.train, task, { ...options, labels: options.preset === 'kwon' });
  const evaluated = options.eval === undefined ? undefined : await examplesFrom(options.eval, task, options);
  const profile = typeof options.profile === 'string' ? await readProfile(options.profile) : options.profile;
  const read = { ...options, train, eval: evaluated, profile };
  const settings = await settingsOf(model, task, options, read);
  const before = directory.open(settings, force);
  const earlier = before?.budgets ?? [];
  const latencies = new Map<number, MeasuredLatency>();
  for (const { keep, latency } of measuredAlike(before, model) ? earlier : []) {
    // A checkpoint that is gone is made anew, and may be faster or slower.
    if (latency && directory.finished(nameOf(keep))) latencies.set(keep, latency);
  }
  const keeps = [...new Set([...options.keeps, ...earlier.map(({ keep }) => keep)])].sort((a, b) => b - a);

  const report = (): SweepReport => ({
    command: 'sweep',
    version,
    settings,
    device: model.device,
    threads: model.threads,
    precision: model.precision,
    environment: environmentOf(model.native.engine),
    budgets: keeps.flatMap((keep) => {
      const pruned = directory.finished(nameOf(keep));
      const latency = latencies.get(keep);
      const at = directory.at(nameOf(keep));
      return pruned ? [{ keep, directory: at, report: pruned, ...(latency && { latency }) }] : [];
    }),
  });
  const save = async () => {
    const { layers } = model.checkpoint.spec;
    await directory.write(report(), { checkpoint: model.checkpoint.directory, layers, command }, signal);
  };

  const missing = keeps.filter((keep) => directory.finished(nameOf(keep)) === undefined);
  if (missing.length > 0) {
    const study = await PruneStudy.prepare(model, read);
    // Not before: what fails to begin shall not stand in the way of what is begun aright.
    await save();
    await inParallel(missing, jobs, async (keep) => {
      await pruneInto(directory, keep, study, options);
      await save();
    });
  }
  for (const keep of keeps.filter((keep) => !latencies.has(keep))) {
    const work = { ...options, onProgress: progressOf(onProgress, String(keep)) };
    latencies.set(keep, await measureCheckpoint(directory.at(nameOf(keep)), model, train, work));
    await save();
  }
  return report();
}

/** What decides about the results. */
async function settingsOf(
  model: LoadedModel,
  task: Task,
  options: SweepOptions,
  read: { train: readonly Example[]; eval: readonly Example[] | undefined; profile: LatencyProfile | undefined },
): Promise<SweepSettings> {
  const { preset = 'espalier', constraint = 'macs', samples = 2048, seed = 0, batch, dtype, signal } = options;
  return {
    ...(await workSettings(model, task, options, read.train)),
    eval: read.eval && (await dataIdentity(options.eval ?? read.eval, read.eval, signal)),
    preset,
    constraint,
    profile: read.profile,
    samples,
    seed,
    batch,
    dtype,
  };
}

/** Writes one budget's checkpoint, unless another sweep has done so meanwhile. */
async function pruneInto(
  directory: SweepDirectory<SweepReport, PruneReport>,
  keep: number,
  study: PruneStudy,
  { signal, onProgress }: SweepOptions,
): Promise<void> {
  const name = nameOf(keep);
  if (directory.finished(name)) return;
  await using result = await study.prune(keep, progressOf(onProgress, String(keep)));
  try {
    await result.save(directory.at(name), { signal });
  } catch (error) {
    if (signal?.aborted || !directory.finished(name)) throw error;
  }
}

/** Works on so many items at once, in order; after a failure no further one is begun. */
async function inParallel<T>(items: readonly T[], limit: number, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const failures: unknown[] = [];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined && failures.length === 0; item = waiting.shift()) {
      await work(item).catch((error) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
  if (failures.length > 0) throw failures[0];
}
