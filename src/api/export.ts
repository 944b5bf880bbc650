import { writeCheckpoint } from '../checkpoint/checkpoint.js';
import { denseCheckpoint } from '../checkpoint/dense.js';
import { checkRepresentable } from '../checkpoint/finite.js';
import { checkOutput } from '../checkpoint/output-directory.js';
import { checkOutputFile, writeOutputFile } from '../checkpoint/output-file.js';
import type { DType } from '../native/addon.js';
import { encoderOnnx } from '../onnx/encoder.js';
import { byteLength } from '../onnx/messages.js';
import { version } from '../version.js';
import type { LoadedModel } from './model.js';
import { storedWeights } from './stored-weights.js';

export interface ExportOptions {
  /** Of the written weights; by default the checkpoint's. */
  dtype?: DType | undefined;
  /** Replace what an earlier export left there. */
  force?: boolean | undefined;
  /** Aborting rejects with ERR_CANCELLED. */
  signal?: AbortSignal | undefined;
}

/** What was written. */
export interface Exported {
  path: string;
  dtype: DType;
  /** Of the weights; with ONNX, of the whole file. */
  bytes: number;
  /** What it does not have of the model. */
  warnings?: string[];
}

/**
 * Writes the model, pruned or not, as an ONNX file of opset 17 for any batch size and length, every layer as wide as it
 * is. Inputs, int64 [batch, length]: `input_ids`, `attention_mask` and, where the model has several token types,
 * `token_type_ids`. Outputs, float32: `logits` [batch, labels] or, of question answering, `start_logits` and
 * `end_logits` [batch, length]. Half-precision weights stay so in the file; the runtime widens them and computes in
 * float32. Tokens below the model's token thresholds are masked: the same logits, but no time is saved. The file
 * appears whole or not at all.
 *
 * @throws EspalierError ERR_OUTPUT, ERR_NON_FINITE for weights that `dtype` cannot hold, ERR_UNSUPPORTED for token keep
 * rates and above the 2 GiB of the format, ERR_CANCELLED
 */
export async function exportOnnx(model: LoadedModel, file: string, options: ExportOptions = {}): Promise<Exported> {
  const { dtype = model.checkpoint.dtype, force, signal } = options;
  checkOutputFile(file, force, [model.checkpoint.directory]);
  const weights = await storedWeights(model.native, dtype, signal);
  for (const [role, tensor] of weights) checkRepresentable(role, tensor);
  const pieces = encoderOnnx(model.native.spec, weights, version);
  await writeOutputFile(file, pieces, { force, signal });
  return { path: file, dtype, bytes: byteLength(pieces) };
}

/**
 * Writes the model as a checkpoint in the shapes that it had before it was pruned, with zeros for what was removed and
 * the original config.json: stock transformers loads it and gives the same logits, at the dense model's speed. It
 * cannot drop tokens: of a model that does, the copy does not, and the logits differ. The directory appears whole or
 * not at all.
 *
 * @throws EspalierError ERR_OUTPUT, ERR_NON_FINITE for weights that `dtype` cannot hold, ERR_CANCELLED
 */
export async function exportDense(
  model: LoadedModel,
  directory: string,
  options: ExportOptions = {},
): Promise<Exported> {
  const { dtype = model.checkpoint.dtype, force, signal } = options;
  checkOutput(directory, force, [model.checkpoint.directory]);
  const weights = await storedWeights(model.native, dtype, signal);
  const dense = denseCheckpoint({ ...model.checkpoint, weights });
  await writeCheckpoint(dense, directory, { force, signal });
  const bytes = [...dense.weights.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
  const warnings = ['the dense copy drops no tokens where the checkpoint does: its logits differ'];
  return { path: directory, dtype, bytes, ...(model.checkpoint.spec.tokenPruning && { warnings }) };
}
