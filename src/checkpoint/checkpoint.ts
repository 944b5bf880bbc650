import { join } from 'node:path';
import type { DType, LayerShape, ModelSpec, TensorData } from '../native/addon.js';
import { throwIfAborted } from '../native/cancel.js';
import { EspalierError } from '../native/errors.js';
import { quote, quoteSome } from '../quote.js';
import { bert } from './bert.js';
import { distilbert } from './distilbert.js';
import { commonDType, storedDTypes } from './dtypes.js';
import { type Family, type HeadKind, tensorName } from './family.js';
import { allFinite } from './finite.js';
import { readJsonObject } from './json-file.js';
import { type Labels, readLabels } from './labels.js';
import { roberta } from './roberta.js';
import { weightShapes } from './roles.js';
import { refuseUnless } from './settings.js';
import { type StoredTensor, WeightFiles } from './weight-files.js';

export { type WriteOptions, writeCheckpoint } from './write-checkpoint.js';

const families: readonly Family[] = [bert, distilbert, roberta];

/** What a Hugging Face model directory is, apart from its weights. */
export interface CheckpointDescription {
  directory: string;
  /** config.json as it is. */
  config: Record<string, unknown>;
  architecture: Family['name'];
  /** The class of transformers that it is. */
  modelClass: string;
  spec: ModelSpec;
  /** What every layer has where nothing is pruned. */
  fullLayer: LayerShape;
  /** Role -> tensor name as transformers writes it today, whatever it is in the files. */
  tensorNames: Map<string, string>;
  /** Of the weights; f32 where several are mixed. */
  dtype: DType;
  /** Names of the logits, in order. */
  labels: string[];
  problem: Labels['problem'];
  /** Size of the weight files. */
  bytes: number;
}

/** A model directory with its weights as stored. */
export interface Checkpoint extends CheckpointDescription {
  /** By role. */
  weights: Map<string, TensorData>;
}

/**
 * Reads a model directory, pruned or not. Throws ERR_CHECKPOINT where something is broken, ERR_UNSUPPORTED where it is
 * another kind of model, ERR_NON_FINITE for NaN or infinite weights and ERR_CANCELLED.
 */
export async function readCheckpoint(directory: string, options: { signal?: AbortSignal } = {}): Promise<Checkpoint> {
  const config = await readJsonObject(join(directory, 'config.json'));
  const family = findFamily(config);
  const head = findHead(config, family);
  const { labels, problem } = readLabels(config, head);
  const spec = { ...family.readEncoder(config), head, labels: labels.length };
  const [fullLayer] = family.readEncoder({ ...config, espalier: undefined }).layers as [LayerShape];
  const files = await WeightFiles.open(directory);
  try {
    const stored = matchTensors(directory, family, spec, files.tensors);
    const weights = new Map<string, TensorData>();
    for (const [role, tensor] of stored) {
      throwIfAborted(options.signal);
      weights.set(role, await readWeight(tensor));
    }
    const tensorNames = new Map([...stored.keys()].map((role) => [role, tensorName(family, head, role, true)]));
    return {
      directory,
      config,
      architecture: family.name,
      modelClass: family.architectures[head],
      spec,
      fullLayer,
      weights,
      tensorNames,
      dtype: commonDType(weights),
      labels,
      problem,
      bytes: files.bytes,
    };
  } finally {
    await files.close();
  }
}

function findFamily(config: Record<string, unknown>): Family {
  refuseUnless(
    config,
    'model_type',
    families.map(({ name }) => name),
  );
  const family = families.find(({ name }) => name === config.model_type);
  if (!family) throw new EspalierError('ERR_CHECKPOINT', 'config.json has no model_type (give a Hugging Face model)');
  if (config.quantization_config) {
    throw new EspalierError(
      'ERR_UNSUPPORTED',
      'config.json: quantized weights are not supported (give f32, f16 or bf16)',
    );
  }
  return family;
}

/** The head of the class that `architectures` names first; without any, a sequence head. */
function findHead(config: Record<string, unknown>, { architectures }: Family): HeadKind {
  const [architecture = architectures.sequence] = Array.isArray(config.architectures) ? config.architectures : [];
  refuseUnless({ architectures: architecture }, 'architectures', Object.values(architectures));
  return architecture === architectures.span ? 'span' : 'sequence';
}

/** Role -> tensor, every shape as the spec says, no weight missing and none left over. */
function matchTensors(
  directory: string,
  family: Family,
  spec: ModelSpec,
  tensors: ReadonlyMap<string, StoredTensor>,
): Map<string, StoredTensor> {
  const fail = (reason: string) =>
    new EspalierError('ERR_CHECKPOINT', `${directory}: ${reason} (do config.json and the weights belong together?)`);
  const prefixed = [...tensors.keys()].some((name) => name.startsWith(family.prefix));
  const shapes = weightShapes(spec);
  const names = new Map([...shapes.keys()].map((role) => [role, tensorName(family, spec.head, role, prefixed)]));

  const missing = [...names.values()].filter((name) => !tensors.has(name));
  if (missing.length > 0) throw fail(`the weights lack ${quoteSome(missing)}`);
  const unused = family.unusedNames.map((name) => (prefixed ? family.prefix + name : name));
  const known = new Set([...names.values(), ...unused]);
  const unknown = [...tensors.keys()].filter((name) => !known.has(name));
  if (unknown.length > 0) throw fail(`the weights have the unknown ${quoteSome(unknown)}`);
  const stored = new Map([...names].map(([role, name]) => [role, tensors.get(name) as StoredTensor]));
  for (const [role, { name, shape }] of stored) {
    const expected = shapes.get(role) as number[];
    if (shape.join() !== expected.join()) {
      throw fail(`tensor ${quote(name)} has the shape ${quote(shape)}, config.json says ${quote(expected)}`);
    }
  }
  return stored;
}

async function readWeight({ dtype: stored, shape, file, name }: StoredTensor): Promise<TensorData> {
  const dtype = (Object.keys(storedDTypes) as DType[]).find((candidate) => storedDTypes[candidate] === stored);
  if (!dtype) {
    const supported = Object.values(storedDTypes).join(', ');
    throw new EspalierError(
      'ERR_UNSUPPORTED',
      `${file.path}: tensor ${quote(name)} has the dtype ${stored} (weights are read as ${supported})`,
    );
  }
  const data = await file.read(name, (piece) => {
    if (allFinite(dtype, piece)) return;
    throw new EspalierError(
      'ERR_NON_FINITE',
      `${file.path}: tensor ${quote(name)} holds NaN or infinite numbers (the model is broken: train or save it again)`,
    );
  });
  return { dtype, shape, data };
}
