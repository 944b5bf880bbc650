import { type CheckpointDescription, readCheckpoint } from '../checkpoint/checkpoint.js';
import type { Precision } from '../native/addon.js';
import { Engine, type EngineOptions } from '../native/engine.js';
import { EspalierError } from '../native/errors.js';
import { Model } from '../native/model.js';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.js';

export interface LoadOptions extends EngineOptions {
  /** A model whose device this one is to share, whatever the options say: a teacher and its student do. */
  beside?: LoadedModel | undefined;
  /** Aborting rejects with ERR_CANCELLED. */
  signal?: AbortSignal | undefined;
}

/** A checkpoint with its tokenizer, and its weights loaded on one device. */
export class LoadedModel {
  constructor(
    readonly checkpoint: CheckpointDescription,
    readonly tokenizer: Tokenizer,
    /** The weights on the device. */
    readonly native: Model,
    /** Time that reading and loading took. */
    readonly loadSeconds: number,
  ) {}

  /** Where it computes, `cpu` for example. */
  get device(): string {
    return this.native.engine.device;
  }

  get precision(): Precision {
    return this.native.engine.precision;
  }

  get threads(): number {
    return this.native.engine.threads;
  }

  /** Frees the weights once running calls are done; later calls throw. */
  async dispose(): Promise<void> {
    this.native.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/**
 * Reads a Hugging Face checkpoint directory (BERT, DistilBERT or RoBERTa, for sequence classification or question
 * answering), pruned or not.
 *
 * @throws EspalierError ERR_CHECKPOINT, ERR_TOKENIZER or ERR_UNSUPPORTED for what cannot be read, ERR_NO_DEVICE,
 * ERR_NATIVE_MISSING, ERR_OUT_OF_MEMORY, ERR_CANCELLED
 */
export async function loadModel(directory: string, options: LoadOptions = {}): Promise<LoadedModel> {
  const start = performance.now();
  const { signal, beside, ...engineOptions } = options;
  const engine = beside?.native.engine ?? Engine.open(engineOptions);
  // The engine has its own copy of the weights: the stored ones go when this function ends.
  const { weights, ...checkpoint } = await readCheckpoint(directory, signal && { signal });
  const tokenizer = await loadTokenizer(directory);
  if (tokenizer.vocabulary.size > checkpoint.spec.vocabularySize) {
    throw new EspalierError(
      'ERR_TOKENIZER',
      `${directory}: the tokenizer has ${tokenizer.vocabulary.size} tokens, the model ${checkpoint.spec.vocabularySize} (do its files belong together?)`,
    );
  }
  const native = await Model.create(engine, checkpoint.spec, weights, 'inference');
  return new LoadedModel(checkpoint, tokenizer, native, (performance.now() - start) / 1000);
}
