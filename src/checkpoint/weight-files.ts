import { existsSync } from 'node:fs';
import { extname, join } from 'node:path';
import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';
import type { StoredDType } from './dtypes.js';
import { isObject, readJsonObject } from './json-file.js';
import { SafetensorsFile } from './safetensors-reader.js';
import { TorchFile } from './torch-reader.js';

/** An open file of weights, of whichever format. */
export interface WeightFile {
  readonly path: string;
  /** Of the whole file. */
  readonly bytes: number;
  /** By the names in the file. */
  readonly tensors: ReadonlyMap<string, { dtype: StoredDType; shape: number[] }>;
  /**
   * A tensor's bytes in row-major order. `visit` sees them piece by piece; every piece starts at a multiple of 8 bytes.
   * Throws ERR_CHECKPOINT, ERR_OUT_OF_MEMORY.
   */
  read(name: string, visit: (piece: Uint8Array) => void): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface StoredTensor {
  dtype: StoredDType;
  shape: number[];
  file: WeightFile;
  /** Its name in the file. */
  name: string;
}

/** In the order transformers looks for them; each whole or as the shards of `<name>.index.json`. */
const formats: Record<string, (path: string) => Promise<WeightFile>> = {
  'model.safetensors': SafetensorsFile.open,
  'pytorch_model.bin': TorchFile.open,
};

/** All weight files of a checkpoint directory, open, and the tensors in them. */
export class WeightFiles {
  private constructor(
    private readonly files: readonly WeightFile[],
    /** By the names that transformers gives them today. */
    readonly tensors: ReadonlyMap<string, StoredTensor>,
  ) {}

  /** Opens the weights of the first format that is there. Throws ERR_CHECKPOINT. */
  static async open(directory: string): Promise<WeightFiles> {
    const { names, openFile, index } = await findFiles(directory);
    const files: WeightFile[] = [];
    try {
      for (const name of names) files.push(await openFile(join(directory, name)));
      if (index) checkShards(directory, index, files);
      return new WeightFiles(files, collect(files));
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

async function closeAll(files: readonly WeightFile[]): Promise<void> {
  await Promise.all(files.map((file) => file.close()));
}

interface ShardIndex {
  name: string;
  /** Tensor name -> shard's file name. */
  shards: Map<string, string>;
}

async function findFiles(directory: string) {
  for (const [name, openFile] of Object.entries(formats)) {
    if (existsSync(join(directory, name))) return { names: [name], openFile };
    const indexName = `${name}.index.json`;
    if (!existsSync(join(directory, indexName))) continue;
    const shards = await readShards(join(directory, indexName), extname(name));
    return { names: new Set(shards.values()), openFile, index: { name: indexName, shards } };
  }
  throw new EspalierError(
    'ERR_CHECKPOINT',
    `${directory} has no ${Object.keys(formats).join(' or ')} (give a Hugging Face model directory)`,
  );
}

async function readShards(path: string, extension: string): Promise<Map<string, string>> {
  const { weight_map: map } = await readJsonObject(path);
  if (!isObject(map)) throw new EspalierError('ERR_CHECKPOINT', `${path} has no weight_map (save it again)`);
  for (const name of Object.values(map)) {
    // Nothing but a plain name: an index must not make us read files elsewhere.
    if (typeof name !== 'string' || !/^\w[\w.-]*$/.test(name) || extname(name) !== extension) {
      throw new EspalierError('ERR_CHECKPOINT', `${path} names the shard ${quote(name)}, no file of its directory`);
    }
  }
  return new Map(Object.entries(map as Record<string, string>));
}

/** Index and shards must tell the same story; a tensor in two shards or in none would be a guess. */
function checkShards(directory: string, { name, shards }: ShardIndex, files: readonly WeightFile[]): void {
  const found = new Set<string>();
  for (const file of files) {
    for (const tensor of file.tensors.keys()) {
      found.add(tensor);
      if (join(directory, shards.get(tensor) ?? '') === file.path) continue;
      throw new EspalierError('ERR_CHECKPOINT', `${file.path} holds tensor ${quote(tensor)}, which ${name} has not`);
    }
  }
  const missing = [...shards.keys()].find((tensor) => !found.has(tensor));
  if (missing === undefined) return;
  throw new EspalierError('ERR_CHECKPOINT', `${shards.get(missing)} lacks tensor ${quote(missing)} of ${name}`);
}

function collect(files: readonly WeightFile[]): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const file of files) {
    for (const [name, { dtype, shape }] of file.tensors) {
      const current = currentName(name);
      const other = tensors.get(current)?.name;
      if (other !== undefined) {
        throw new EspalierError('ERR_CHECKPOINT', `${file.path} holds ${quote(name)} beside ${quote(other)}`);
      }
      tensors.set(current, { dtype, shape, file, name });
    }
  }
  return tensors;
}

/** BERT's first checkpoints call a layer norm's weight and bias gamma and beta, as TensorFlow does. */
function currentName(name: string): string {
  return name.replace(/(?<=\bLayerNorm\.)(gamma|beta)$/, (old) => (old === 'gamma' ? 'weight' : 'bias'));
}
