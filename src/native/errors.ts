/** Stable codes of every error espalier throws. */
export type ErrorCode =
  | 'ERR_INVALID_ARGUMENT'
  | 'ERR_OPTION'
  | 'ERR_CHECKPOINT'
  | 'ERR_TOKENIZER'
  | 'ERR_DATA'
  | 'ERR_TASK'
  | 'ERR_TARGET'
  | 'ERR_OUTPUT'
  | 'ERR_UNSUPPORTED'
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_CANCELLED'
  | 'ERR_NON_FINITE'
  | 'ERR_NO_DEVICE'
  | 'ERR_NOT_POSITIVE_DEFINITE'
  | 'ERR_NATIVE_MISSING'
  | 'ERR_INTERNAL';

/** The one error class of the package: `code` is stable, `message` says what is wrong and what to do. */
export class EspalierError extends Error {
  override readonly name = 'EspalierError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
