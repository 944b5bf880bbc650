import { type FileHandle, open } from 'node:fs/promises';
import { EspalierError } from '../native/errors.js';
import { regularFileSize } from './regular-file.js';
import {
  invalidFile,
  lengthPrefixBytes,
  parseHeader,
  readHeaderLength,
  type TensorEntry,
} from './safetensors-header.js';

/** Small enough that work on one piece does not hold up the event loop, large enough to read at full speed. */
const pieceBytes = 8 << 20;

/** An open safetensors file; tensors are read one at a time, so that no second copy of all weights is ever in memory. */
export class SafetensorsFile {
  private constructor(
    readonly path: string,
    /** Of the whole file. */
    readonly bytes: number,
    readonly tensors: ReadonlyMap<string, TensorEntry>,
    private readonly handle: FileHandle,
    private readonly dataStart: number,
  ) {}

  /** Opens a file and checks its header. Throws ERR_CHECKPOINT. */
  static async open(path: string): Promise<SafetensorsFile> {
    const { handle, bytes } = await openRegular(path);
    try {
      const prefix = Buffer.alloc(lengthPrefixBytes);
      await readFully(handle, path, prefix.subarray(0, Math.min(bytes, lengthPrefixBytes)), 0);
      const header = Buffer.alloc(readHeaderLength(prefix, bytes, path));
      await readFully(handle, path, header, lengthPrefixBytes);
      const dataStart = lengthPrefixBytes + header.length;
      const tensors = parseHeader(header, bytes - dataStart, path);
      return new SafetensorsFile(path, bytes, tensors, handle, dataStart);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * A tensor's bytes. `visit` sees them piece by piece as they arrive; every piece starts at a multiple of 8 bytes.
   * Throws ERR_CHECKPOINT, ERR_OUT_OF_MEMORY.
   */
  async read(name: string, visit: (piece: Uint8Array) => void): Promise<Uint8Array> {
    const entry = this.tensors.get(name);
    if (!entry) throw new EspalierError('ERR_INTERNAL', `${this.path} has no tensor ${name}`);
    const data = allocate(entry.end - entry.start, name);
    for (let at = 0; at < data.length; at += pieceBytes) {
      const piece = data.subarray(at, at + pieceBytes);
      await readFully(this.handle, this.path, piece, this.dataStart + entry.start + at);
      visit(piece);
    }
    return data;
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

async function openRegular(path: string): Promise<{ handle: FileHandle; bytes: number }> {
  try {
    return { bytes: await regularFileSize(path), handle: await open(path) };
  } catch (error) {
    throw new EspalierError('ERR_CHECKPOINT', `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}

async function readFully(handle: FileHandle, path: string, target: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < target.length; ) {
    const { bytesRead } = await handle
      .read(target, done, target.length - done, position + done)
      .catch((error: Error) => {
        throw new EspalierError('ERR_CHECKPOINT', `cannot read ${path}: ${error.message}`, { cause: error });
      });
    if (bytesRead === 0) throw invalidFile(path, 'it became shorter while it was read');
    done += bytesRead;
  }
}

function allocate(bytes: number, name: string): Uint8Array {
  try {
    return new Uint8Array(bytes);
  } catch (error) {
    throw new EspalierError('ERR_OUT_OF_MEMORY', `no memory for the ${bytes} bytes of tensor ${name}`, {
      cause: error,
    });
  }
}
