import type { TinyTensor, TinyTensors } from './tiny.js';

/** A file of a zip archive and, to spoil it, what its headers say otherwise. */
export interface TinyEntry {
  data: Buffer;
  method?: number;
  flags?: number;
  /** Both sizes, and the unpacked one alone. */
  bytes?: number;
  unpacked?: number;
  /** Position of the local header. */
  at?: number;
  localName?: string;
}

/**
 * A zip archive of stored files, put together without the code under test. `start`: where in its file it begins; `wide`:
 * with a zip64 directory.
 */
export function encodeZip(
  entries: [string, TinyEntry][],
  { start = 0, wide = start >= 2 ** 32 }: { start?: number; wide?: boolean } = {},
): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let position = start;
  for (const [name, entry] of entries) {
    const { data, method = 0, flags = 0, bytes = data.length, unpacked = bytes, localName = name } = entry;
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50);
    local.writeUInt32LE(data.length, 18);
    local.writeUInt32LE(data.length, 22);
    local.writeUInt16LE(localName.length, 26);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50);
    central.writeUInt16LE(flags, 8);
    central.writeUInt16LE(method, 10);
    central.writeUInt32LE(bytes, 20);
    central.writeUInt32LE(unpacked, 24);
    central.writeUInt16LE(name.length, 28);
    const extra = wide ? Buffer.concat([Buffer.of(1, 0, 8, 0), uint64(position)]) : Buffer.alloc(0);
    central.writeUInt16LE(extra.length, 30);
    central.writeUInt32LE(wide ? 0xffffffff : (entry.at ?? position), 42);
    const file = Buffer.concat([local, Buffer.from(localName), data]);
    files.push(file);
    directory.push(central, Buffer.from(name), extra);
    position += file.length;
  }
  const end64 = Buffer.concat([
    Buffer.from('PK\x06\x06'.padEnd(32, '\0')),
    ...[entries.length, Buffer.concat(directory).length, position].map(uint64),
    Buffer.from('PK\x06\x07\0\0\0\0'),
    uint64(position + Buffer.concat(directory).length),
    Buffer.of(1, 0, 0, 0),
  ]);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(wide ? 0xffffffff : position, 16);
  return Buffer.concat([...files, ...directory, ...(wide ? [end64] : []), end]);
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

const int = (value: number) => {
  const bytes = Buffer.alloc(5, 'J');
  bytes.writeInt32LE(value, 1);
  return bytes;
};
const text = (value: string) => {
  const length = Buffer.alloc(5, 'X');
  length.writeUInt32LE(value.length, 1);
  return Buffer.concat([length, Buffer.from(value)]);
};
const tuple = (...items: Buffer[]) => Buffer.concat([Buffer.from('('), ...items, Buffer.from('t')]);
const global = (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`);
const call = (callable: Buffer, args: Buffer) => Buffer.concat([callable, args, Buffer.from('R')]);
const none = Buffer.from('N');

/** Operations of a pickle. */
export const pickle = { int, text, tuple, global, call, none };

const storageNames: Record<string, string> = {
  F32: 'Float',
  F16: 'Half',
  BF16: 'BFloat16',
  F64: 'Double',
  I64: 'Long',
};

export interface TinyView {
  elements: number;
  offset: number;
  shape: number[];
  strides: number[];
}

/** A tensor's view of storage `key`: all of it in row-major order, if `change` does not say otherwise. */
export function tensorOf({ dtype, shape }: TinyTensor, key: string, change: Partial<TinyView> = {}): Buffer {
  const strides = shape.map((_, d) => shape.slice(d + 1).reduce((product, extent) => product * extent, 1));
  const elements = shape.reduce((product, extent) => product * extent, 1);
  const view: TinyView = { elements, offset: 0, shape, strides, ...change };
  const type = global('torch', `${storageNames[dtype]}Storage`);
  const storage = Buffer.concat([
    tuple(text('storage'), type, text(key), text('cpu'), int(view.elements)),
    Buffer.from('Q'),
  ]);
  const sizes = tuple(...view.shape.map(int));
  return call(
    global('torch._utils', '_rebuild_tensor_v2'),
    tuple(storage, int(view.offset), sizes, tuple(...view.strides.map(int)), Buffer.from('\x89', 'latin1'), none),
  );
}

/** The pickle of a dict. */
export function stateDict(values: Record<string, Buffer>): Buffer {
  const items = Object.entries(values).flatMap(([name, value]) => [text(name), value]);
  return Buffer.concat([Buffer.from('\x80\x02}(', 'latin1'), ...items, Buffer.from('u.')]);
}

/** Files of a torch archive: the pickle, and the storage of tensor n as data/n. */
export function torchFiles(
  tensors: TinyTensors,
  values: Record<string, Buffer> = Object.fromEntries(
    Object.entries(tensors).map(([name, tensor], index) => [name, tensorOf(tensor, String(index))]),
  ),
): [string, TinyEntry][] {
  return [
    ['archive/data.pkl', { data: stateDict(values) }],
    ['archive/byteorder', { data: Buffer.from('little') }],
    ...Object.values(tensors).map(({ data }, index): [string, TinyEntry] => [`archive/data/${index}`, { data }]),
  ];
}

export const encodeTorch = (tensors: TinyTensors): Buffer => encodeZip(torchFiles(tensors));
