import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Checkpoint, readCheckpoint } from '../../../src/checkpoint/checkpoint.js';
import type { LossKind, Mask, Mode, PackedBatch } from '../../../src/native/addon.js';
import { Engine } from '../../../src/native/engine.js';
import { Model } from '../../../src/native/model.js';
import { repoRoot } from '../../support/paths.js';

const FORMAT = 1;

export const goldenModels = [
  'gelu',
  'gelu-new',
  'relu',
  'regression',
  'bert-span',
  'distilbert',
  'distilbert-span',
  'roberta',
  'roberta-span',
] as const;
export type GoldenName = (typeof goldenModels)[number];

/** A class, a value, or the start and end token of a span. */
export type Label = number | number[];

export interface Sequence {
  ids: number[];
  types: number[];
}

/** Sequences with their labels, and what PyTorch computes for them in float64 at several masks. */
export interface Golden {
  loss: LossKind;
  sequences: Sequence[];
  labels: Label[];
  cases: {
    name: string;
    mask: { heads: number[]; neurons: number[] };
    /** [sequences][labels], of a span head [tokens][2] */
    logits: number[][];
    losses: number[];
    /** [sequences][units of all layers], of each sequence's own loss */
    headGradients: number[][];
    neuronGradients: number[][];
  }[];
}

/** A golden file of test/golden, of the version that the tests were written for. */
export function readGolden<T = Golden>(file: string, script = 'make_golden.py'): T {
  const golden = JSON.parse(readFileSync(join(repoRoot, 'test/golden', file), 'utf8'));
  if (golden.format !== FORMAT) {
    throw new Error(
      `test/golden/${file} has format ${golden.format}, not ${FORMAT} (regenerate it: python test/golden/${script})`,
    );
  }
  return golden;
}

export function packSequences(sequences: readonly Sequence[]): PackedBatch {
  const offsets = [0];
  for (const { ids } of sequences) offsets.push((offsets.at(-1) as number) + ids.length);
  return {
    ids: Int32Array.from(sequences.flatMap(({ ids }) => ids)),
    tokenTypes: Int32Array.from(sequences.flatMap(({ types }) => types)),
    offsets: Int32Array.from(offsets),
  };
}

export function packLabels({ loss, labels }: { loss: LossKind; labels: Label[] }): Int32Array | Float32Array {
  return loss === 'meanSquared' ? Float32Array.from(labels.flat()) : Int32Array.from(labels.flat());
}

export function packMask(mask: { heads: number[]; neurons: number[] }): Mask {
  return { heads: Float32Array.from(mask.heads), neurons: Float32Array.from(mask.neurons) };
}

/** One group a sequence. */
export const perSample = (count: number): Int32Array => Int32Array.from({ length: count }, (_, index) => index);

export const goldenCheckpoint = (name: GoldenName): Promise<Checkpoint> =>
  readCheckpoint(join(repoRoot, 'test/golden', name));

/** Opens one of the golden checkpoints. */
export async function openModel(
  name: GoldenName,
  options: { device?: string; threads?: number; mode?: Mode } = {},
): Promise<Model> {
  const { spec, weights } = await goldenCheckpoint(name);
  return Model.create(Engine.open(options), spec, weights, options.mode ?? 'gradients');
}

/** Largest difference, relative to the largest expected value; NaN where a value is NaN. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const wanted = expected[i] as number;
    difference = Math.max(difference, Math.abs((actual[i] as number) - wanted)); // keeps a NaN
    largest = Math.max(largest, Math.abs(wanted));
  }
  return largest === 0 ? difference : difference / largest;
}
