import type { NativeHiddenStates, Sublayer, SublayerStatistics } from './addon.js';
import { type CallOptions, callCancellable } from './call.js';

/**
 * Hidden states of a batch, taken through a Model one sub-layer at a time. Once they have failed to advance, by an abort
 * for instance, they are of no further use.
 */
export class HiddenStates {
  constructor(private readonly native: NativeHiddenStates) {}

  get bytes(): number {
    return this.native.bytes;
  }

  /** Replaces the states by the sub-layer's output. A sequence head's last attention leaves first tokens only. */
  advance(layer: number, sublayer: Sublayer, options: CallOptions = {}): Promise<void> {
    return callCancellable(options.signal, (cancel) => this.native.advance(layer, sublayer, cancel));
  }

  /** Statistics of the inputs alone, while the states advance past the sub-layer. */
  collectInputs(layer: number, sublayer: Sublayer, options: CallOptions = {}): Promise<SublayerStatistics> {
    return callCancellable(options.signal, (cancel) => this.native.collectInputs(layer, sublayer, cancel));
  }

  /** Statistics of these states as inputs and the teacher's as targets; neither advances. */
  collectDrift(teacher: HiddenStates, options: CallOptions = {}): Promise<SublayerStatistics> {
    return callCancellable(options.signal, (cancel) => this.native.collectDrift(teacher.native, cancel));
  }

  /**
   * Least-squares statistics of a sub-layer, these states being the student's. The teacher's states advance past the
   * sub-layer; the student's wait until its weights are changed. Both must stand before the same sub-layer.
   */
  collect(
    teacher: HiddenStates,
    layer: number,
    sublayer: Sublayer,
    options: CallOptions = {},
  ): Promise<SublayerStatistics> {
    return callCancellable(options.signal, (cancel) => this.native.collect(teacher.native, layer, sublayer, cancel));
  }

  dispose(): void {
    this.native.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
