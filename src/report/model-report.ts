import type { CheckpointDescription } from '../checkpoint/checkpoint.js';
import { weightShapes } from '../checkpoint/roles.js';
import type { DType, LayerShape, ModelSpec, TokenPruning } from '../native/addon.js';
import { modelMacs } from '../prune/macs.js';

/** What a checkpoint is; `espalier inspect --json` prints it. */
export interface ModelReport {
  command: 'inspect';
  checkpoint: string;
  architecture: string;
  problem: CheckpointDescription['problem'];
  labels: string[];
  hiddenSize: number;
  headSize: number;
  vocabularySize: number;
  maxPositions: number;
  layers: LayerShape[];
  /** Where the model drops tokens. */
  tokenPruning?: TokenPruning;
  parameters: number;
  dtype: DType;
  /** Of the weight files. */
  bytes: number;
  /** Multiply-accumulates of the layers on one sequence of `length` tokens. */
  macs: { length: number; total: number };
}

export function modelReport(checkpoint: CheckpointDescription, length: number): ModelReport {
  const { directory, architecture, problem, labels, dtype, bytes, spec } = checkpoint;
  const { hiddenSize, headSize, vocabularySize, maxPositions, layers, tokenPruning } = spec;
  return {
    command: 'inspect',
    checkpoint: directory,
    architecture,
    problem,
    labels,
    hiddenSize,
    headSize,
    vocabularySize,
    maxPositions,
    layers,
    ...(tokenPruning && { tokenPruning }),
    parameters: parameterCount(spec),
    dtype,
    bytes,
    macs: { length, total: modelMacs(spec, length) },
  };
}

export function parameterCount(spec: ModelSpec): number {
  const sizes = [...weightShapes(spec).values()].map((shape) => shape.reduce((product, extent) => product * extent, 1));
  return sizes.reduce((sum, size) => sum + size, 0);
}
