import type { Example } from '../data/examples.js';
import { environmentOf } from '../native/environment.js';
import { EspalierError } from '../native/errors.js';
import { progressOf } from '../progress.js';
import { tokensPage } from '../report/tokens-page.js';
import type { TokensRun, TokensSweepReport, TokensSweepSettings } from '../report/tokens-report.js';
import type { TrainReport } from '../report/train-report.js';
import { resolveTask, type Task } from '../tasks/task.js';
import { checkMacs } from '../tokens/fit-to-macs.js';
import { type SweepMethod, sweepMethods } from '../tokens/methods.js';
import { version } from '../version.js';
import { calibrateTokens } from './calibrate-tokens.js';
import { checkTeacher } from './check-teacher.js';
import { examplesFrom } from './evaluate.js';
import { measureCheckpoint } from './measure-latency.js';
import type { LoadedModel } from './model.js';
import { measuredAlike, SweepDirectory, type SweepKind } from './sweep-directory.js';
import { methodSettings, type TrainTokensOptions, trainTokens } from './train-tokens.js';
import type { TrainResult } from './training-run.js';
import { dataIdentity, modelIdentity, workSettings } from './work-settings.js';

export interface TokensSweepOptions extends Omit<TrainTokensOptions, 'method' | 'macs' | 'resume'> {
  /** `learned` alone by default. */
  methods?: readonly SweepMethod[] | undefined;
  /** The parts of the multiply-accumulates to keep, each above 0 and at most 1: every method is trained to each. */
  macs?: readonly number[] | undefined;
  /** The method `learned` is trained with each of these too, without a budget. */
  lambdas?: readonly number[] | undefined;
  /** A directory for the checkpoints, `learned-0.5` or `learned-lambda-0.1` for example, tokens.json and report.html. */
  output: string;
  /** Start anew in the directory of another sweep. */
  force?: boolean | undefined;
  /** The command line, for the page. */
  command?: string | undefined;
}

const kind: SweepKind<TokensSweepReport, TrainReport> = {
  file: 'tokens.json',
  command: 'tokens sweep',
  names: new RegExp(`^(${sweepMethods.join('|')})-(lambda-)?[\\d.e+-]+(\\.state)?$`),
  madeFile: 'training.json',
  madeBy: ['tokens train', 'tokens calibrate'],
  page: tokensPage,
};

/** Makes one checkpoint. */
function make(
  model: LoadedModel,
  { method, macs, lambda }: TokensRun,
  options: Omit<TrainTokensOptions, 'method' | 'macs'>,
): Promise<TrainResult> {
  if (method === 'calibrated')
    return calibrateTokens(model, { ...options, macs: macs as number, paddedLength: options.thresholds?.paddedLength });
  const thresholds = lambda === undefined ? options.thresholds : { ...options.thresholds, lambda };
  return trainTokens(model, { ...options, method, macs, thresholds });
}

/**
 * Trains a model to drop tokens by several methods and to several budgets, and measures the latency of each in turns with
 * the given model's, on the evaluation data. Started again after it was stopped or killed, it goes on with what is there,
 * a training that was begun included; two at the same time in one directory would disturb each other.
 *
 * @throws EspalierError ERR_OPTION, ERR_TARGET where a budget cannot be reached, ERR_TASK, ERR_DATA, ERR_OUTPUT,
 * ERR_UNSUPPORTED, ERR_NON_FINITE, ERR_OUT_OF_MEMORY, ERR_CANCELLED
 */
export async function tokensSweep(model: LoadedModel, options: TokensSweepOptions): Promise<TokensSweepReport> {
  const { output, command, force, signal, onProgress } = options;
  const wanted = runsOf(options);
  if (options.eval === undefined) throw refused('a trade-off needs data to evaluate on (give --eval too)');
  const task = resolveTask(model.checkpoint, options.task);
  if (options.teacher) checkTeacher(model, options.teacher, task);
  const directory = new SweepDirectory(output, kind);
  // Once for all: standard input can be read no more often.
  const train = await examplesFrom(options.train, task, options);
  const evaluated = await examplesFrom(options.eval, task, options);
  const settings = await settingsOf(model, task, options, train, evaluated);
  const before = directory.open(settings, force);
  const earlier = before?.runs ?? [];
  // A checkpoint that is gone is made anew, and may be faster or slower.
  const made = earlier.filter(({ name }) => measuredAlike(before, model) && directory.finished(name) !== undefined);
  const latencies = new Map(made.map(({ name, latency }) => [name, latency]));
  const runs = inOrder([...earlier, ...wanted]);

  const report = (): TokensSweepReport => ({
    command: 'tokens sweep',
    version,
    settings,
    device: model.device,
    threads: model.threads,
    precision: model.precision,
    environment: environmentOf(model.native.engine),
    runs: runs.flatMap((run) => {
      const trained = directory.finished(run.name);
      const latency = latencies.get(run.name);
      return trained
        ? [{ ...run, directory: directory.at(run.name), report: trained, ...(latency && { latency }) }]
        : [];
    }),
  });
  const save = () => directory.write(report(), { checkpoint: model.checkpoint.directory, command }, signal);

  // Not before: what fails to begin shall not stand in the way of what is begun aright.
  await save();
  for (const run of runs) {
    const checkpoint = directory.at(run.name);
    const state = `${run.name}.state`;
    const work = { ...options, train, eval: evaluated, onProgress: progressOf(onProgress, run.name) };
    if (directory.finished(run.name) === undefined) {
      await using made = await make(model, run, { ...work, resume: directory.at(state) });
      await made.save(checkpoint, { signal });
    }
    await directory.remove(state);
    if (latencies.get(run.name) !== undefined) continue;
    latencies.set(run.name, await measureCheckpoint(checkpoint, model, evaluated, work));
    await save();
  }
  return report();
}

/** Every method with every budget, and `learned` with every lambda. */
function runsOf({ methods = ['learned'], macs: budgets = [], lambdas = [], newHead }: TokensSweepOptions): TokensRun[] {
  for (const macs of budgets) checkMacs(macs);
  for (const lambda of lambdas) if (!(lambda >= 0)) throw refused(`lambda must be at least 0, not ${lambda}`);
  if (lambdas.length > 0 && !methods.includes('learned')) {
    throw refused('only the method learned has a lambda (add it to --methods)');
  }
  if (newHead && methods.includes('calibrated')) {
    throw refused(
      'a head that has learnt nothing has no predictions to calibrate on (leave calibrated out, or --new-head)',
    );
  }
  const unbounded = methods.find((method) => method !== 'learned' || lambdas.length === 0);
  if (budgets.length === 0 && unbounded) {
    throw refused(`the method ${unbounded} needs to know how much work to leave (give --macs too)`);
  }
  return [
    ...methods.flatMap((method) => budgets.map((macs) => ({ name: `${method}-${macs}`, method, macs }))),
    ...lambdas.map((lambda) => ({ name: `learned-lambda-${lambda}`, method: 'learned' as const, lambda })),
  ];
}

const refused = (reason: string): EspalierError => new EspalierError('ERR_OPTION', reason);

/** Each once. The methods of one budget follow one another, so that a sweep that is not over compares them already. */
function inOrder(runs: readonly TokensRun[]): TokensRun[] {
  return [...new Map(runs.map((run) => [run.name, run])).values()].sort(
    (a, b) =>
      (b.macs ?? 0) - (a.macs ?? 0) ||
      (a.lambda ?? 0) - (b.lambda ?? 0) ||
      sweepMethods.indexOf(a.method) - sweepMethods.indexOf(b.method),
  );
}

/** What decides about the results. */
async function settingsOf(
  model: LoadedModel,
  task: Task,
  options: TokensSweepOptions,
  train: readonly Example[],
  evaluated: readonly Example[],
): Promise<TokensSweepSettings> {
  const { newHead = false, teacher, distillation, dtype, signal } = options;
  return {
    ...(await workSettings(model, task, options, train)),
    eval: await dataIdentity(options.eval ?? evaluated, evaluated, signal),
    ...methodSettings(options),
    newHead,
    teacher: teacher && { ...(await modelIdentity(teacher, signal)), ...distillation },
    dtype,
  };
}
