import type { LossKind } from '../native/addon.js';
import type { Distillation, PassOptions, Training } from '../native/training.js';
import type { LabelledSequences } from '../tasks/calibration.js';
import type { Recipe } from './recipe.js';
import { type TrainingStep, trainingSteps } from './steps.js';

/** A part of a training with a recipe of its own. */
export interface Stage {
  name: string;
  recipe: Recipe;
  /** What the next pass is to do beside learning from the labels. */
  pass?: (() => Pick<PassOptions, 'pruning' | 'soft'>) | undefined;
  /** Learns something else from a step. */
  onStep?: ((step: TrainingStep) => void) | undefined;
  /** Once all its steps are taken. */
  onEnd?: ((training: Training) => Promise<void>) | undefined;
}

/** How far a training has come: so many steps of a stage are taken. */
export interface Position {
  stage: number;
  step: number;
}

export interface StagesOptions {
  loss: LossKind;
  seed: number;
  distillation?: Distillation | undefined;
  /** Where to go on. */
  from?: Position | undefined;
  /** After each step, once its stage has learnt from it. */
  onStep?: ((step: TrainingStep, stage: Stage, position: Position) => Promise<void> | void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Runs stages one after another. Throws ERR_NON_FINITE, ERR_CANCELLED. */
export async function runStages(
  training: Training,
  data: LabelledSequences,
  stages: readonly Stage[],
  { loss, seed, distillation, from = { stage: 0, step: 0 }, onStep, signal }: StagesOptions,
): Promise<void> {
  for (const [index, stage] of stages.entries()) {
    if (index < from.stage) continue;
    const steps = trainingSteps(training, data, {
      loss,
      recipe: stage.recipe,
      seed: seed * stages.length + index,
      from: index === from.stage ? from.step : 0,
      pass: () => ({ ...stage.pass?.(), distillation }),
      signal,
    });
    for await (const step of steps) {
      stage.onStep?.(step);
      if (step.step === step.steps) await stage.onEnd?.(training);
      await onStep?.(step, stage, { stage: index, step: step.step });
    }
  }
}
