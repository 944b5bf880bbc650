import type { ModelSpec, PackedBatch } from '../../src/native/addon.js';
import { Engine } from '../../src/native/engine.js';
import { Model } from '../../src/native/model.js';
import type { Calibration } from '../../src/prune/fisher.js';
import { type KwonOutcome, studyKwon } from '../../src/prune/kwon.js';
import { drawCalibration } from '../../src/tasks/calibration.js';
import { findTask, type Task } from '../../src/tasks/task.js';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.js';
import { hasShared, sharedPath } from '../../test/support/paths.js';
import type { BenchModel } from './models.js';
import { glueExamples } from './workloads.js';

export const SAMPLES = 2048;
export const KEEP = 0.6;

export interface PruneRun extends Pick<KwonOutcome, 'seconds' | 'macs'> {
  batch: PackedBatch;
  dense: ModelSpec;
  teacher: ModelSpec;
  student: ModelSpec;
}

/** Preset kwon on samples of MRPC's training file; undefined where the shared data are absent. */
export async function pruneOnMrpc(load: () => Promise<BenchModel>, threads: number): Promise<PruneRun | undefined> {
  if (!hasShared) return undefined;
  const { calibration, task } = await mrpcCalibration();
  using model = await openModel(load, threads);
  const pruneTo = await studyKwon(model, calibration, {
    loss: task.loss,
    batchSize: task.miniBatch,
    sequenceLength: task.averageLength as number,
  });
  const outcome = await pruneTo(KEEP, {});
  using pruned = outcome.model;
  const { seconds, macs } = outcome;
  return {
    seconds,
    macs,
    batch: calibration.batch,
    dense: model.spec,
    teacher: withUnits(model.spec, outcome.masks.teacher),
    student: pruned.spec,
  };
}

/** Samples of MRPC's training file. */
export async function mrpcCalibration(): Promise<{ calibration: Calibration; task: Task }> {
  const task = findTask('mrpc');
  const examples = await glueExamples('mrpc', 'train');
  const tokenizer = await loadTokenizer(sharedPath('models/minilm-mrpc'));
  const { maxLength } = task;
  const calibration = await drawCalibration(examples, task, tokenizer, { maxLength, samples: SAMPLES, seed: 0 });
  return { calibration, task };
}

/** Keeps no copy of the weights once the engine has them. */
export async function openModel(load: () => Promise<BenchModel>, threads: number): Promise<Model> {
  const { spec, weights } = await load();
  return Model.create(Engine.open({ threads }), spec, weights, 'inference');
}

/** The spec of the units that a mask leaves. */
function withUnits(spec: ModelSpec, mask: KwonOutcome['masks']['teacher']): ModelSpec {
  let firstHead = 0;
  let firstNeuron = 0;
  const count = (values: Float32Array) => values.reduce((kept, value) => kept + (value === 0 ? 0 : 1), 0);
  const layers = spec.layers.map(({ heads, neurons }) => {
    const left = {
      heads: count(mask.heads.subarray(firstHead, firstHead + heads)),
      neurons: count(mask.neurons.subarray(firstNeuron, firstNeuron + neurons)),
    };
    firstHead += heads;
    firstNeuron += neurons;
    return left;
  });
  return { ...spec, layers };
}
