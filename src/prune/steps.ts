import type { Mask } from '../native/addon.js';
import type { Model } from '../native/model.js';
import type { OnProgress } from '../progress.js';
import { compact } from './compact.js';

export interface StepListeners {
  onProgress?: OnProgress | undefined;
  /** Called after a step with the model as it then is, compacted; the model is valid until the promise settles. */
  onStage?: ((stage: string, model: Model) => Promise<void>) | undefined;
}

/** Times the steps of a method and tells the caller about them. */
export class Steps {
  /** @param seconds of each step so far, without onStage */
  constructor(
    private readonly listeners: StepListeners,
    readonly seconds: Record<string, number> = {},
  ) {}

  /** The steps of one of several budgets, after those that they share. */
  goOn(listeners: StepListeners): Steps {
    return new Steps(listeners, { ...this.seconds });
  }

  async run<T>(stage: string, work: (report: (done: number, total: number) => void) => Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await work((done, total) => this.listeners.onProgress?.({ stage, done, total }));
    this.seconds[stage] = (performance.now() - start) / 1000;
    return result;
  }

  /** Shows what the model would be with the mask's units. */
  async show(stage: string, model: Model, mask: Mask): Promise<void> {
    if (this.listeners.onStage === undefined) return;
    using masked = await compact(model, mask, 'inference');
    await this.listeners.onStage(stage, masked);
  }
}
