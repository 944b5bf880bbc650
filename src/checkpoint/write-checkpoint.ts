import { existsSync } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { TensorData } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import type { Checkpoint } from './checkpoint.js';
import { byteLength, commonDType, storedDTypes, torchDTypes } from './dtypes.js';
import { layerSettings } from './layer-shapes.js';
import { writeDirectory } from './output-directory.js';
import { autoMap, modelingFile } from './python-model.js';
import { weightShapes } from './roles.js';
import { writeSafetensors } from './safetensors-writer.js';
import { tokenSettings } from './token-pruning.js';

export interface WriteOptions {
  /** Replace an existing checkpoint. */
  force?: boolean;
  /** More files to put beside the weights: name -> text. */
  files?: Record<string, string>;
  signal?: AbortSignal;
}

/** Files that make a tokenizer; copied as they are, so that a pruned model reads text exactly like its original. */
const tokenizerFiles = [
  'tokenizer.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
];

/**
 * Writes a model directory of the checkpoint's `spec` and `weights`; all other settings and the tokenizer come from
 * where it was read. A pruned one says its widths and how it drops tokens in config.json, and brings the Python that
 * transformers loads it with. The directory appears whole or not at all. Throws ERR_OUTPUT, ERR_CANCELLED,
 * ERR_NON_FINITE for weights that their dtype cannot hold, and ERR_INVALID_ARGUMENT where weights and spec disagree.
 */
export async function writeCheckpoint(
  checkpoint: Checkpoint,
  outputDirectory: string,
  options: WriteOptions = {},
): Promise<void> {
  const { force, files = {}, signal } = options;
  const tensors = namedTensors(checkpoint);
  const misplaced = Object.keys(files).find((name) => name !== basename(name));
  if (misplaced) throw new EspalierError('ERR_INVALID_ARGUMENT', `"${misplaced}" is no plain file name`);
  await writeDirectory(outputDirectory, { force, signal }, async (directory) => {
    await writeSafetensors(join(directory, 'model.safetensors'), tensors, signal);
    for (const name of tokenizerFiles) {
      const source = join(checkpoint.directory, name);
      if (existsSync(source)) await copyFile(source, join(directory, name));
    }
    const settings = updatedConfig(checkpoint);
    if (settings.espalier) await copyFile(modelingFile, join(directory, basename(modelingFile)));
    const config = JSON.stringify(settings, null, 2);
    for (const [name, text] of Object.entries({ 'config.json': `${config}\n`, ...files })) {
      await writeFile(join(directory, name), text);
    }
  });
}

/** The original settings with the weights' dtype, which transformers calls by either name, and what was pruned. */
function updatedConfig(checkpoint: Checkpoint): Record<string, unknown> {
  const { spec, fullLayer, weights } = checkpoint;
  // Code that the original came with is not copied.
  const { auto_map: _, ...config } = checkpoint.config;
  const dtype = torchDTypes[commonDType(weights)];
  const named = ['dtype', 'torch_dtype'].filter((name) => config[name] !== undefined);
  const settings = { ...config, ...Object.fromEntries(named.map((name) => [name, dtype])) };
  const whole = spec.layers.every(({ heads, neurons }) => heads === fullLayer.heads && neurons === fullLayer.neurons);
  if (whole && !spec.tokenPruning && config.espalier === undefined) return settings;
  return {
    ...settings,
    auto_map: autoMap(checkpoint),
    espalier: {
      ...(config.espalier as object | undefined),
      ...layerSettings(spec.layers),
      ...tokenSettings(spec.tokenPruning),
    },
  };
}

/** Stored name -> tensor, each checked against the spec, so that nothing is written that could not be read again. */
function namedTensors({ spec, weights, tensorNames }: Checkpoint): Map<string, TensorData> {
  const tensors = new Map<string, TensorData>();
  for (const [role, shape] of weightShapes(spec)) {
    const name = tensorNames.get(role);
    const tensor = weights.get(role);
    if (!name || !tensor) throw new EspalierError('ERR_INVALID_ARGUMENT', `the checkpoint has no weight ${role}`);
    const bytes = byteLength(storedDTypes[tensor.dtype], shape);
    if (tensor.shape.join() !== shape.join() || tensor.data.byteLength !== bytes) {
      const found = `[${tensor.shape}] in ${tensor.data.byteLength} bytes`;
      throw new EspalierError(
        'ERR_INVALID_ARGUMENT',
        `weight ${role} is ${found}, its spec says [${shape}] in ${bytes}`,
      );
    }
    tensors.set(name, tensor);
  }
  return tensors;
}
