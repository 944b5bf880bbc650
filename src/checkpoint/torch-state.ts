import { quote } from '../quote.js';
import type { StoredDType } from './dtypes.js';
import { type PickleHost, unpickle } from './pickle.js';

/** What the pickle of a torch file says of a tensor. */
export interface TorchTensor {
  storage: TorchStorage;
  /** First element in the storage. */
  offset: number;
  shape: number[];
  /** Elements from one index of a dimension to the next. */
  strides: number[];
}

/** A run of elements that tensors are views of. */
export interface TorchStorage {
  /** Name of its file in the archive. */
  key: string;
  dtype: StoredDType;
  elements: number;
}

const storageDTypes: Record<string, StoredDType> = {
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.DoubleStorage': 'F64',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
};

/** The functions that a state dict is rebuilt with, and nothing else: a pickle may name any program to run. */
const functions: Record<string, (args: unknown[]) => unknown> = {
  'collections.OrderedDict': (args) => {
    if (args.length > 0) throw new Error('its pickle fills an OrderedDict by a call');
    return new Map();
  },
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_parameter': ([tensor]) => checkTensor(tensor),
  // The state is what Python code has set on the parameter.
  'torch._utils._rebuild_parameter_with_state': ([tensor]) => checkTensor(tensor),
};

/** A name that may appear in a pickle; only this file makes them, so nothing in a pickle can pass for one. */
class Global {
  constructor(readonly name: string) {}
}

class Storage implements TorchStorage {
  constructor(
    readonly key: string,
    readonly dtype: StoredDType,
    readonly elements: number,
  ) {}
}

class Tensor implements TorchTensor {
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly shape: number[],
    readonly strides: number[],
  ) {}
}

const host: PickleHost = {
  global: (module, name) => {
    const full = `${module}.${name}`;
    if (Object.hasOwn(functions, full) || Object.hasOwn(storageDTypes, full)) return new Global(full);
    throw new Error(`its pickle asks for ${quote(full)}, which no weights need: it may be hostile`);
  },
  persistent: (id) => {
    const [kind, type, key, , elements] = Array.isArray(id) ? id : [];
    const dtype = type instanceof Global ? storageDTypes[type.name] : undefined;
    if (kind !== 'storage' || !dtype || typeof key !== 'string' || !isCount(elements)) {
      throw new Error('its pickle has a broken storage');
    }
    return new Storage(key, dtype, elements);
  },
  call: (callable, args) => {
    const call = callable instanceof Global ? functions[callable.name] : undefined;
    if (!call) throw new Error('its pickle calls what is no function');
    return call(args);
  },
};

/** Tensors by name, out of the pickle of a state dict. Nothing in it is run. Throws a plain Error that says what is wrong. */
export function readStateDict(pickle: Buffer): Map<string, TorchTensor> {
  const state = unpickle(pickle, host);
  if (!(state instanceof Map)) throw new Error('it holds no state dict');
  for (const [name, tensor] of state) {
    if (typeof name !== 'string') throw new Error('its state dict has a name that is no text');
    if (!(tensor instanceof Tensor)) throw new Error(`its entry ${quote(name)} is no tensor`);
  }
  return state;
}

function rebuildTensor([storage, offset, shape, strides]: unknown[]): Tensor {
  if (!(storage instanceof Storage) || !isCount(offset) || !isCounts(shape) || !isCounts(strides)) {
    throw new Error('its pickle has a broken tensor');
  }
  const last = shape.reduce((sum, extent, d) => sum + (extent - 1) * (strides[d] as number), offset);
  const count = shape.reduce((product, extent) => product * extent, 1);
  // No more elements than its storage has: a view that repeats elements is no weight, and could be of any size.
  const fits = count === 0 || (last < storage.elements && count <= storage.elements);
  if (shape.length !== strides.length || !fits) {
    throw new Error(`a tensor of shape ${quote(shape)} lies outside of its storage`);
  }
  return new Tensor(storage, offset, shape, strides);
}

function checkTensor(value: unknown): Tensor {
  if (value instanceof Tensor) return value;
  throw new Error('its pickle has a parameter that is no tensor');
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isCount);
}
