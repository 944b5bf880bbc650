import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';
import { isObject, readJsonObject } from './json-file.js';
import type { TensorEntry } from './safetensors-header.js';
import { SafetensorsFile } from './safetensors-reader.js';

const singleName = 'model.safetensors';
const indexName = 'model.safetensors.index.json';

export interface StoredTensor {
  entry: TensorEntry;
  file: SafetensorsFile;
}

/** All weight files of a checkpoint directory, open, and the tensors in them. */
export class WeightFiles {
  private constructor(
    private readonly files: SafetensorsFile[],
    readonly tensors: ReadonlyMap<string, StoredTensor>,
  ) {}

  /** Opens model.safetensors, or the shards of its index. Throws ERR_CHECKPOINT. */
  static async open(directory: string): Promise<WeightFiles> {
    const index = existsSync(join(directory, singleName)) ? undefined : await readIndex(directory);
    const files: SafetensorsFile[] = [];
    try {
      for (const name of index ? new Set(index.values()) : [singleName]) {
        files.push(await SafetensorsFile.open(join(directory, name)));
      }
      const tensors = index ? collectShards(directory, index, files) : collect(files);
      return new WeightFiles(files, tensors);
    } catch (error) {
      await closeAll(files);
      throw error;
    }
  }

  get bytes(): number {
    return this.files.reduce((sum, file) => sum + file.bytes, 0);
  }

  async close(): Promise<void> {
    await closeAll(this.files);
  }
}

async function closeAll(files: SafetensorsFile[]): Promise<void> {
  await Promise.all(files.map((file) => file.close()));
}

/** Tensor name -> shard's file name. */
async function readIndex(directory: string): Promise<Map<string, string>> {
  const path = join(directory, indexName);
  if (!existsSync(path)) {
    const hint = existsSync(join(directory, 'pytorch_model.bin'))
      ? 'pytorch_model.bin is not read: save it with safe_serialization=True'
      : 'give a Hugging Face model directory';
    throw new EspalierError('ERR_CHECKPOINT', `${directory} has no ${singleName} (${hint})`);
  }
  const { weight_map: map } = await readJsonObject(path);
  if (!isObject(map)) throw new EspalierError('ERR_CHECKPOINT', `${path} has no weight_map (save it again)`);
  for (const name of Object.values(map)) {
    // Nothing but a plain name: an index must not make us read files elsewhere.
    if (typeof name !== 'string' || !/^[\w][\w.-]*\.safetensors$/.test(name)) {
      throw new EspalierError('ERR_CHECKPOINT', `${path} names the shard ${quote(name)}, no file of its directory`);
    }
  }
  return new Map(Object.entries(map as Record<string, string>));
}

function collect(files: SafetensorsFile[]): Map<string, StoredTensor> {
  return new Map(files.flatMap((file) => [...file.tensors].map(([name, entry]) => [name, { entry, file }] as const)));
}

/** Index and shards must tell the same story; a tensor in two shards or in none would be a guess. */
function collectShards(
  directory: string,
  index: Map<string, string>,
  files: SafetensorsFile[],
): Map<string, StoredTensor> {
  for (const file of files) {
    const stray = [...file.tensors.keys()].find((name) => join(directory, index.get(name) ?? '') !== file.path);
    if (stray) {
      throw new EspalierError(
        'ERR_CHECKPOINT',
        `${file.path} holds tensor ${quote(stray)}, which ${indexName} has not`,
      );
    }
  }
  const tensors = collect(files);
  const missing = [...index.keys()].find((name) => !tensors.has(name));
  if (missing) {
    throw new EspalierError('ERR_CHECKPOINT', `${index.get(missing)} lacks tensor ${quote(missing)} of ${indexName}`);
  }
  return tensors;
}
