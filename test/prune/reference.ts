import { readFileSync } from 'node:fs';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { type Example, labelsOf, readExamples } from '../../src/data/examples.js';
import type { LayerShape, Mask } from '../../src/native/addon.js';
import type { Engine } from '../../src/native/engine.js';
import { Model } from '../../src/native/model.js';
import type { Calibration } from '../../src/prune/fisher.js';
import { LabelledSequences } from '../../src/tasks/calibration.js';
import { findTask } from '../../src/tasks/task.js';
import { TaskBatch } from '../../src/tasks/task-batch.js';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { sharedPath } from '../support/paths.js';

/** A mask as the reference stores it: 0 or 1 a head, indices of the kept neurons. */
export interface RecordedMask {
  headMask: number[][];
  keptNeurons: number[][];
}

export interface RecordedScales {
  metrics: { accuracy: number; f1: number };
  /** 0 where a head was pruned. */
  headScales: number[][];
  /** Of the kept neurons. */
  neuronScales: number[][];
}

export interface RecordedRun {
  keep: number;
  macs: number;
  heads: number;
  neurons: number;
  search: RecordedMask;
  teacher: RecordedMask;
  rearranged: RecordedMask;
  /** The same systems solved exactly; at keep 0.6 only. */
  tunedConverged?: RecordedScales;
}

/** What the public PyTorch code did on minilm-mrpc. */
export interface Reference {
  maxLength: number;
  batch: number;
  seqLen: number;
  sampleIndices: number[];
  fisher: { heads: number[][]; neurons: number[][] };
  /** [batches, layers, heads] */
  headGradients: number[][][];
  runs: RecordedRun[];
}

export const minilmLayers: LayerShape[] = Array.from({ length: 6 }, () => ({ heads: 12, neurons: 1536 }));
export const minilmSpec = { hiddenSize: 384, headSize: 32, layers: minilmLayers };

export const readReference = (): Reference =>
  JSON.parse(readFileSync(sharedPath('reference', 'kwon-minilm-mrpc.json'), 'utf8'));

export function maskOf({ headMask, keptNeurons }: RecordedMask): Mask {
  const neurons = new Float32Array(keptNeurons.length * 1536);
  for (const [layer, kept] of keptNeurons.entries()) for (const neuron of kept) neurons[layer * 1536 + neuron] = 1;
  return { heads: Float32Array.from(headMask.flat()), neurons };
}

/** Part of the units kept by `expected` that `mask` keeps too. */
export function agreement(mask: Mask, expected: Mask): number {
  const flat = (value: Mask) => [...value.heads, ...value.neurons];
  const wanted = flat(expected);
  const both = flat(mask).filter((kept, unit) => kept !== 0 && wanted[unit] !== 0).length;
  return both / wanted.filter((kept) => kept !== 0).length;
}

/** minilm-mrpc, the reference's samples, and accuracy and F1 on the development set. */
export async function openMrpc(engine: Engine, { sampleIndices, maxLength }: Reference) {
  const directory = sharedPath('models', 'minilm-mrpc');
  const { spec, weights } = await readCheckpoint(directory);
  const model = await Model.create(engine, spec, weights, 'inference');
  const tokenizer = await loadTokenizer(directory);
  const task = findTask('mrpc');
  const read = (name: string) => readExamples(sharedPath('data', 'glue', 'MRPC', name), task);
  const [train, dev] = [await read('train.tsv'), await read('dev.tsv')];
  const pack = async (examples: Example[]): Promise<Calibration> => {
    const sequences = await LabelledSequences.of(examples, task, tokenizer, { maxLength });
    return sequences.take(examples.keys());
  };
  const batch = new TaskBatch(task, dev, tokenizer, maxLength);
  const labels = labelsOf(dev, task);
  const metrics = async (subject: Model) =>
    task.metrics(batch.predictions(await subject.forward(batch.packed)), labels);
  const calibration = await pack(sampleIndices.map((index) => train[index] as Example));
  return { model, train, pack, calibration, metrics };
}
