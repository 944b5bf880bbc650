import type { NativeGradientMoments, Sublayer } from './addon.js';
import { callAsync } from './call.js';

/** Second moments of a loss gradient at the outputs of a Model's sub-layers, before their LayerNorms. */
export class GradientMoments {
  constructor(readonly native: NativeGradientMoments) {}

  /** [hidden, hidden] the sum over all rows (tokens) so far of d'd, d being a row's gradient. */
  read(layer: number, sublayer: Sublayer): Promise<Float64Array> {
    return callAsync(() => this.native.read(layer, sublayer));
  }

  dispose(): void {
    this.native.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
