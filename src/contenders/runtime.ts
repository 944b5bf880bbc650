import type { PackedBatch } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import { oneLine } from '../quote.js';

/** What runs a model: the engine, or somebody to compare it with. */
export interface Runtime extends AsyncDisposable {
  /** The checkpoint it runs, or what it is with its version. */
  readonly name: string;
  prepare(batch: PackedBatch): Promise<PreparedBatch>;
}

/** A batch in the form that its runtime takes. */
export interface PreparedBatch {
  /** Tokens that are computed, where the runtime pads. */
  paddedTokens?: number;
  /** Computes the batch once. A runtime that times itself answers with its seconds. */
  run(): Promise<number | undefined>;
  /** Of the last run: [sequences, labels], or of a span head [tokens, 2] without padding. */
  logits(): Promise<Float32Array>;
}

/** Somebody else's failure on the way. */
export function failedRun(runtime: string, reason: string): EspalierError {
  return new EspalierError(
    'ERR_OPTION',
    `${runtime} failed: ${oneLine(reason).slice(0, 300)} (is there enough memory? try a smaller --batch)`,
  );
}
