import type { Example } from '../data/examples.js';
import { packSequences } from '../data/pack.js';
import type { PackedBatch } from '../native/addon.js';
import type { Encoding, Tokenizer } from '../tokenizer/tokenizer.js';
import type { Prediction, Task } from './task.js';

/** Examples of a task that go through the model together, and the way back from its logits to one prediction each. */
export class TaskBatch {
  readonly packed: PackedBatch;
  /** Of each example. */
  private readonly sequences: Encoding[][];

  constructor(
    private readonly task: Task,
    private readonly examples: readonly Example[],
    tokenizer: Tokenizer,
    maxLength: number,
  ) {
    this.sequences = examples.map((example) => task.encode(example, tokenizer, maxLength));
    this.packed = packSequences(this.sequences.flat());
  }

  /** One prediction an example out of what Model.forward gives for `packed`. */
  predictions(logits: Float32Array): Prediction[] {
    const { offsets } = this.packed;
    const count = offsets.length - 1;
    const bounds = (sequence: number) =>
      this.task.kind === 'span' ? 2 * (offsets[sequence] as number) : (logits.length / count) * sequence;
    let next = 0;
    return this.examples.map((example, index) => {
      const sequences = this.sequences[index] as Encoding[];
      const own = sequences.map((_, offset) => logits.subarray(bounds(next + offset), bounds(next + offset + 1)));
      next += sequences.length;
      return this.task.predict(sequences, own, example);
    });
  }
}
