import type { Mask } from '../native/addon.js';
import type { Model } from '../native/model.js';
import type { OnProgress } from '../progress.js';
import { compact } from './compact.js';

export interface StepListeners<Stage extends string = string> {
  onProgress?: OnProgress | undefined;
  /** Called after a step with the model as it then is, compacted; the model is valid until the promise settles. */
  onStage?: ((stage: Stage, model: Model) => Promise<void>) | undefined;
}

/** Times the steps of a method and tells the caller about them. */
export class Steps<Stage extends string> {
  /** Of each step so far, without onStage. */
  readonly seconds: Partial<Record<Stage, number>> = {};

  constructor(private readonly listeners: StepListeners<Stage>) {}

  async run<T>(stage: Stage, work: (report: (done: number, total: number) => void) => Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await work((done, total) => this.listeners.onProgress?.({ stage, done, total }));
    this.seconds[stage] = (performance.now() - start) / 1000;
    return result;
  }

  /** Shows what the model would be with the mask's units. */
  async show(stage: Stage, model: Model, mask: Mask): Promise<void> {
    if (this.listeners.onStage === undefined) return;
    using masked = await compact(model, mask, 'inference');
    await this.listeners.onStage(stage, masked);
  }
}
