import { existsSync } from 'node:fs';
import { checkOutputFile, writeOutputFile } from '../checkpoint/output-file.js';
import type { Example } from '../data/examples.js';
import { type LatencyProfile, readProfile } from '../latency/latency-profile.js';
import { emptyProfile, measureLatencies } from '../latency/measure.js';
import { EspalierError } from '../native/errors.js';
import { longestInput } from '../native/longest-input.js';
import { drawSequences } from '../tasks/calibration.js';
import { resolveTask } from '../tasks/task.js';
import type { Encoding } from '../tokenizer/tokenizer.js';
import { checkCount } from './check-count.js';
import { type DataOptions, examplesFrom, lengthLimit, type WorkOptions } from './evaluate.js';
import type { LoadedModel } from './model.js';

export interface ProfileOptions extends DataOptions, WorkOptions {
  /** Sequences that are run together; 256 by default. */
  batch?: number | undefined;
  /** Tokens of every sequence, where no texts are given; 128 by default. */
  length?: number | undefined;
  /** A data file, or examples, whose lengths the sequences have. */
  texts?: string | readonly Example[] | undefined;
  /** Times that every width is measured; 7 by default. */
  rounds?: number | undefined;
  /** A file to keep the profile in after every round. An unfinished one of the same measurement is gone on with. */
  output?: string | undefined;
  /** Start anew, and replace a file of another measurement. */
  force?: boolean | undefined;
}

/**
 * Measures how long attention of every number of heads and FFNs of several widths take, on this machine and for such a
 * batch. `prune` spends it with the constraint `latency`.
 *
 * @throws EspalierError ERR_UNSUPPORTED for a model that drops tokens, ERR_OPTION, ERR_TASK, ERR_DATA, ERR_OUTPUT,
 * ERR_OUT_OF_MEMORY, ERR_CANCELLED
 */
export async function profile(model: LoadedModel, options: ProfileOptions = {}): Promise<LatencyProfile> {
  const { rounds = 7, output, force, signal, onProgress } = options;
  checkCount('rounds', rounds);
  const { directory } = model.checkpoint;
  const sources = [directory, ...(typeof options.texts === 'string' ? [options.texts] : [])];
  if (output !== undefined) checkOutputFile(output, true, sources);
  const fresh = emptyProfile(model.native, await lengthsOf(model, options));
  const found = output === undefined ? undefined : await unfinished(output, fresh, force);
  return measureLatencies(model.native, found ?? fresh, {
    rounds,
    signal,
    onWidths: (done, total) => onProgress?.({ stage: 'profile', done, total }),
    onRound: async (measured) => {
      if (output !== undefined) await save(output, measured);
    },
  });
}

/** Tokens of the sequences of a batch: of those in the texts, where there are any. */
export async function lengthsOf(
  model: LoadedModel,
  options: DataOptions & Pick<ProfileOptions, 'batch' | 'length' | 'texts' | 'signal'>,
): Promise<number[]> {
  const { batch = 256, length = 128, texts } = options;
  if (texts !== undefined) return (await sequencesOf(model, texts, options)).map(({ ids }) => ids.length);
  const longest = longestInput(model.checkpoint.spec);
  if (length <= longest) return new Array(batch).fill(length);
  throw new EspalierError(
    'ERR_OPTION',
    `the model has no position for ${length} tokens (give a length up to ${longest})`,
  );
}

/** A batch of the texts' sequences. */
export async function sequencesOf(
  model: LoadedModel,
  texts: string | readonly Example[],
  { batch: samples = 256, ...options }: DataOptions & Pick<ProfileOptions, 'batch' | 'signal'>,
): Promise<Encoding[]> {
  const task = resolveTask(model.checkpoint, options.task);
  const maxLength = lengthLimit(model, task, options.maxLength);
  return drawSequences(await textsFrom(model, texts, options), task, model.tokenizer, { maxLength, samples, seed: 0 });
}

/** Examples whose labels do not matter. */
export const textsFrom = (
  model: LoadedModel,
  texts: string | readonly Example[],
  options: DataOptions & Pick<WorkOptions, 'signal'>,
): Promise<readonly Example[]> =>
  examplesFrom(texts, resolveTask(model.checkpoint, options.task), { ...options, labels: false });

/** What an earlier run left of the same measurement. Throws ERR_OUTPUT where the file is of another. */
async function unfinished(
  output: string,
  wanted: LatencyProfile,
  force: boolean | undefined,
): Promise<LatencyProfile | undefined> {
  if (force || !existsSync(output)) return undefined;
  const found = await readProfile(output);
  if (settingsOf(found) === settingsOf(wanted)) return found;
  throw new EspalierError(
    'ERR_OUTPUT',
    `${output} is the profile of another model, batch or machine (give another file, or --force to replace it)`,
  );
}

/** Everything but what was measured. */
const settingsOf = (profile: LatencyProfile): string =>
  JSON.stringify(profile, (key, value) => (key === 'samples' ? undefined : value));

const save = (output: string, profile: LatencyProfile): Promise<void> =>
  writeOutputFile(output, [Buffer.from(`${JSON.stringify(profile)}\n`)], { force: true });
