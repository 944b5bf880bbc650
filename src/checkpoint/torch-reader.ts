import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';
import { elementBytes, type StoredDType } from './dtypes.js';
import { allocate, pieceBytes, RangedFile, type RangeSource } from './ranged-file.js';
import { readStateDict, type TorchTensor } from './torch-state.js';
import type { WeightFile } from './weight-files.js';
import { invalidArchive, readZipDirectory, type ZipEntry } from './zip-directory.js';

/** Far above any state dict's, which takes about 150 bytes a tensor. */
const maxPickleBytes = 16 << 20;

/** A tensor of a torch file: a view of stored elements, in whatever order. */
export interface TorchEntry {
  dtype: StoredDType;
  shape: number[];
  /** Elements from one index of a dimension to the next. */
  strides: number[];
  /** Of the first element in the file. */
  start: number;
}

/** An open file of torch.save since PyTorch 1.6 that holds a state dict; tensors are read one at a time. */
export class TorchFile implements WeightFile {
  private constructor(
    private readonly file: RangedFile,
    readonly tensors: ReadonlyMap<string, TorchEntry>,
  ) {}

  /** Opens a file and checks all of it but the weights. Throws ERR_CHECKPOINT. */
  static open(path: string): Promise<TorchFile> {
    return RangedFile.open(path, async (file) => new TorchFile(file, await readTorchEntries(file)));
  }

  get path(): string {
    return this.file.path;
  }

  get bytes(): number {
    return this.file.bytes;
  }

  async read(name: string, visit: (piece: Uint8Array) => void): Promise<Uint8Array> {
    const entry = this.tensors.get(name);
    if (!entry) throw new EspalierError('ERR_INTERNAL', `${this.path} has no tensor ${name}`);
    const { shape, strides, start } = entry;
    const width = elementBytes[entry.dtype];
    const count = shape.reduce((product, extent) => product * extent, 1);
    if (count === 0 || isContiguous(shape, strides)) {
      return this.file.readTensor(name, start, count * width, visit);
    }
    const span = shape.reduce((sum, extent, d) => sum + (extent - 1) * (strides[d] as number), 1);
    const stored = await this.file.readTensor(name, start, span * width);
    const data = allocate(count * width, name);
    gather(stored, data, width, shape, strides);
    for (let at = 0; at < data.length; at += pieceBytes) visit(data.subarray(at, at + pieceBytes));
    return data;
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

/** What a torch file holds, every tensor of it inside of its storage. Throws ERR_CHECKPOINT. */
export async function readTorchEntries(file: RangeSource): Promise<Map<string, TorchEntry>> {
  await refuseOldFormat(file);
  const archive = await readZipDirectory(file);
  const pickleName = [...archive.keys()].find((name) => /^[^/]*\/data\.pkl$/.test(name));
  if (pickleName === undefined) throw invalidArchive(file.path, 'it has no data.pkl');
  const folder = pickleName.slice(0, -'data.pkl'.length);
  await refuseBigEndian(file, archive.get(`${folder}byteorder`));
  const state = await readPickle(file, archive.get(pickleName) as ZipEntry);
  return new Map([...state].map(([name, tensor]) => [name, locate(file.path, name, tensor, archive, folder)]));
}

async function readPickle(file: RangeSource, { start, bytes }: ZipEntry): Promise<Map<string, TorchTensor>> {
  if (bytes > maxPickleBytes) throw invalidArchive(file.path, `its pickle has ${bytes} bytes`);
  const pickle = await file.read(start, bytes);
  try {
    return readStateDict(pickle);
  } catch (error) {
    throw new EspalierError(
      'ERR_CHECKPOINT',
      `${file.path} holds no plain state dict: ${(error as Error).message} (save it again: torch.save(model.state_dict(), path))`,
    );
  }
}

function locate(
  file: string,
  name: string,
  { storage, offset, shape, strides }: TorchTensor,
  archive: ReadonlyMap<string, ZipEntry>,
  folder: string,
): TorchEntry {
  const stored = archive.get(`${folder}data/${storage.key}`);
  const width = elementBytes[storage.dtype];
  if (stored?.bytes !== storage.elements * width) {
    const found = stored ? `${stored.bytes} bytes` : 'none';
    throw invalidArchive(
      file,
      `tensor ${quote(name)} needs a storage of ${storage.elements * width} bytes and has ${found}`,
    );
  }
  return { dtype: storage.dtype, shape, strides, start: stored.start + offset * width };
}

/** Before 1.6 torch.save wrote pickles one after another, the first one a magic number. */
async function refuseOldFormat(file: RangeSource): Promise<void> {
  const magic = Buffer.from('80028a0a6cfc9c46f9206aa85019', 'hex');
  const head = await file.read(0, Math.min(magic.length, file.bytes));
  if (!head.equals(magic)) return;
  throw new EspalierError(
    'ERR_CHECKPOINT',
    `${file.path} has the format of PyTorch before 1.6 (save it again: torch.save(torch.load(path, weights_only=True), path))`,
  );
}

async function refuseBigEndian(file: RangeSource, entry: ZipEntry | undefined): Promise<void> {
  if (!entry) return;
  const order = (await file.read(entry.start, Math.min(entry.bytes, 16))).toString();
  if (order !== 'little') throw invalidArchive(file.path, `its byte order is ${quote(order)}, not "little"`);
}

/** Whether the elements lie one after another, in the order of a row-major array. */
function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] === 1) continue;
    if (strides[d] !== expected) return false;
    expected *= shape[d] as number;
  }
  return true;
}

/** Copies a view's elements into row-major order. */
function gather(
  stored: Uint8Array,
  data: Uint8Array,
  width: 1 | 2 | 4 | 8,
  shape: readonly number[],
  strides: readonly number[],
): void {
  // Elements are moved, not read: any array of their width does, and float arrays may change a NaN.
  const Elements = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array }[
    width
  ] as Uint32ArrayConstructor;
  const source = new Elements(stored.buffer);
  const target = new Elements(data.buffer);
  const index = shape.map(() => 0);
  let at = 0;
  for (let i = 0; i < target.length; i++) {
    target[i] = source[at] as number;
    for (let d = shape.length - 1; d >= 0; d--) {
      const [extent, stride, next] = [shape[d] as number, strides[d] as number, (index[d] as number) + 1];
      index[d] = next === extent ? 0 : next;
      at += next === extent ? stride * (1 - extent) : stride;
      if (next < extent) break;
    }
  }
}
