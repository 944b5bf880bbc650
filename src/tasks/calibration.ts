import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Example, type Label, labelsOf } from '../data/examples.js';
import { packSequences } from '../data/pack.js';
import { sampleIndices, weightedIndices } from '../data/sample.js';
import type { PackedBatch } from '../native/addon.js';
import { throwIfAborted } from '../native/cancel.js';
import type { Calibration } from '../prune/fisher.js';
import type { Encoding, Tokenizer } from '../tokenizer/tokenizer.js';
import type { Task } from './task.js';

export interface DrawOptions {
  /** Longest sequence in tokens. */
  maxLength: number;
  /** How many to draw. */
  samples: number;
  seed: number;
  signal?: AbortSignal | undefined;
}

/** Examples counted between two looks at the event loop. */
const examplesInOneTurn = 256;

/** Sequences of labelled examples, encoded when they are wanted. */
export class LabelledSequences {
  private constructor(
    private readonly places: readonly SequencePlace[],
    private readonly labels: readonly Label[],
    private readonly encodePlace: (place: SequencePlace) => Encoding,
    private readonly task: Task,
  ) {}

  /** Throws ERR_DATA where a label is missing, ERR_CANCELLED. */
  static async of(
    examples: readonly Example[],
    task: Task,
    tokenizer: Tokenizer,
    { maxLength, signal }: Pick<DrawOptions, 'maxLength' | 'signal'>,
  ): Promise<LabelledSequences> {
    const labels = labelsOf(examples, task);
    const places = await sequencePlaces(examples, task, tokenizer, { maxLength, signal });
    const encodePlace = (place: SequencePlace) => encode(examples, place, task, tokenizer, maxLength);
    return new LabelledSequences(places, labels, encodePlace, task);
  }

  get count(): number {
    return this.places.length;
  }

  /** The sequences of such indices, packed, with what the task's loss compares them with. */
  take(indices: Iterable<number>): Calibration {
    const { task } = this;
    const places = Array.from(indices, (index) => this.places[index] as SequencePlace);
    const encodings = places.map(this.encodePlace);
    const targets = places.flatMap(({ example }, n) =>
      task.targets(this.labels[example] as Label, encodings[n] as Encoding),
    );
    return {
      batch: packSequences(encodings),
      labels: task.loss === 'meanSquared' ? Float32Array.from(targets) : Int32Array.from(targets),
    };
  }
}

/**
 * Draws sequences of labelled examples with replacement: an example whose input is several sequences counts as often.
 * Throws ERR_DATA, ERR_CANCELLED.
 */
export async function drawCalibration(
  examples: readonly Example[],
  task: Task,
  tokenizer: Tokenizer,
  { samples, seed, ...options }: DrawOptions,
): Promise<Calibration> {
  const sequences = await LabelledSequences.of(examples, task, tokenizer, options);
  return sequences.take(sampleIndices(sequences.count, samples, seed));
}

/**
 * Draws sequences of examples without replacement: all of them where there are no more than asked for.
 *
 * @param prefer `long`: longer ones more often, since what least squares learns from is tokens; `none`: each as often
 * @throws EspalierError ERR_DATA, ERR_CANCELLED
 */
export async function drawUnlabelled(
  examples: readonly Example[],
  task: Task,
  tokenizer: Tokenizer,
  { maxLength, samples, seed, signal }: DrawOptions,
  prefer: 'long' | 'none' = 'long',
): Promise<PackedBatch> {
  const places = await sequencePlaces(examples, task, tokenizer, { maxLength, signal });
  const drawn = weightedIndices(
    places.map(({ characters }) => (prefer === 'long' ? characters : 1)),
    samples,
    seed,
  );
  return packSequences(
    Array.from(drawn, (index) => encode(examples, places[index] as SequencePlace, task, tokenizer, maxLength)),
  );
}

/** Sequences of examples drawn with replacement, whose labels do not matter. Throws ERR_DATA. */
export function drawSequences(
  examples: readonly Example[],
  task: Task,
  tokenizer: Tokenizer,
  { maxLength, samples, seed }: DrawOptions,
): Encoding[] {
  return Array.from(sampleIndices(examples.length, samples, seed))
    .flatMap((index) => task.encode(examples[index] as Example, tokenizer, maxLength))
    .slice(0, samples);
}

/** The lengths of such sequences. Throws ERR_DATA. */
export const drawLengths = (...draw: Parameters<typeof drawSequences>): number[] =>
  drawSequences(...draw).map(({ ids }) => ids.length);

/** Which sequence of which example; it is made when it is drawn. */
interface SequencePlace {
  example: number;
  sequence: number;
  /** Its share of the example's text. */
  characters: number;
}

async function sequencePlaces(
  examples: readonly Example[],
  task: Task,
  tokenizer: Tokenizer,
  { maxLength, signal }: Pick<DrawOptions, 'maxLength' | 'signal'>,
): Promise<SequencePlace[]> {
  const places: SequencePlace[] = [];
  for (const [index, example] of examples.entries()) {
    const count = task.countSequences(example, tokenizer, maxLength);
    const characters = (example.text.length + (example.pair?.length ?? 0)) / count;
    for (let sequence = 0; sequence < count; sequence++) places.push({ example: index, sequence, characters });
    if (index % examplesInOneTurn === 0) {
      throwIfAborted(signal);
      await nextTurn();
    }
  }
  return places;
}

function encode(
  examples: readonly Example[],
  { example, sequence }: SequencePlace,
  task: Task,
  tokenizer: Tokenizer,
  maxLength: number,
): Encoding {
  return task.encode(examples[example] as Example, tokenizer, maxLength)[sequence] as Encoding;
}
