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
    const ofSequences = Array.from({ length: count }, (_, i) => logits.subarray(bounds(i), bounds(i + 1)));
    return this.perExample(ofSequences).map((own, index) =>
      this.task.predict(this.sequences[index] as Encoding[], own, this.examples[index] as Example),
    );
  }

  /** What there is one of for each sequence of `packed`, example by example. */
  perExample<T>(ofSequences: readonly T[]): T[][] {
    let next = 0;
    return this.sequences.map(({ length }) => {
      next += length;
      return ofSequences.slice(next - length, next);
    });
  }
}
