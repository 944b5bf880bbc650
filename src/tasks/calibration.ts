import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Example, type Label, labelsOf } from '../data/examples.js';
import { packSequences } from '../data/pack.js';
import { sampleIndices } from '../data/sample.js';
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

/**
 * Draws sequences of labelled examples with replacement: an example whose input is several sequences counts as often.
 * Throws ERR_DATA, ERR_CANCELLED.
 */
export async function drawCalibration(
  examples: readonly Example[],
  task: Task,
  tokenizer: Tokenizer,
  { maxLength, samples, seed, signal }: DrawOptions,
): Promise<Calibration> {
  const labels = labelsOf(examples, task);
  // The example and the place in it of every sequence, which is made when it is drawn.
  const places: [example: number, sequence: number][] = [];
  for (const [index, example] of examples.entries()) {
    const count = task.countSequences(example, tokenizer, maxLength);
    for (let sequence = 0; sequence < count; sequence++) places.push([index, sequence]);
    if (index % examplesInOneTurn === 0) {
      throwIfAborted(signal);
      await nextTurn();
    }
  }
  const drawn = Array.from(sampleIndices(places.length, samples, seed), (place) => {
    const [index, sequence] = places[place] as [number, number];
    const encoding = task.encode(examples[index] as Example, tokenizer, maxLength)[sequence] as Encoding;
    return { encoding, label: labels[index] as Label };
  });
  return calibrationOf(drawn, task);
}

/** Sequences packed, with what the task's loss compares them with. */
export function calibrationOf(samples: readonly { encoding: Encoding; label: Label }[], task: Task): Calibration {
  const targets = samples.flatMap(({ encoding, label }) => task.targets(label, encoding));
  return {
    batch: packSequences(samples.map(({ encoding }) => encoding)),
    labels: task.loss === 'meanSquared' ? Float32Array.from(targets) : Int32Array.from(targets),
  };
}
