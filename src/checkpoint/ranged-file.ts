import { type FileHandle, open } from 'node:fs/promises';
import { EspalierError } from '../native/errors.js';
import { regularFileSize } from './regular-file.js';

/** Bytes that can be read in ranges. */
export interface RangeSource {
  readonly path: string;
  /** Of the whole file. */
  readonly bytes: number;
  /** A small range. Throws ERR_CHECKPOINT. */
  read(position: number, length: number): Promise<Buffer>;
}

/** Small enough that work on one piece does not hold up the event loop, large enough to read at full speed. */
export const pieceBytes = 8 << 20;

/** An open file, read in ranges: no second copy of all its bytes is ever in memory. */
export class RangedFile implements RangeSource {
  private constructor(
    readonly path: string,
    readonly bytes: number,
    private readonly handle: FileHandle,
  ) {}

  /** What `parse` makes of a file that stays open; it is closed where that fails. Throws ERR_CHECKPOINT. */
  static async open<Parsed>(path: string, parse: (file: RangedFile) => Promise<Parsed>): Promise<Parsed> {
    const file = await RangedFile.openRegular(path);
    try {
      return await parse(file);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private static async openRegular(path: string): Promise<RangedFile> {
    try {
      return new RangedFile(path, await regularFileSize(path), await open(path));
    } catch (error) {
      throw new EspalierError('ERR_CHECKPOINT', `cannot read ${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  async read(position: number, length: number): Promise<Buffer> {
    const range = Buffer.alloc(length);
    await this.fill(range, position);
    return range;
  }

  /**
   * The bytes of a tensor. `visit` sees them piece by piece as they arrive; every piece starts at a multiple of 8 bytes
   * of the result. Throws ERR_CHECKPOINT, ERR_OUT_OF_MEMORY.
   */
  async readTensor(
    name: string,
    position: number,
    length: number,
    visit?: (piece: Uint8Array) => void,
  ): Promise<Uint8Array> {
    const data = allocate(length, name);
    for (let at = 0; at < length; at += pieceBytes) {
      const piece = data.subarray(at, at + pieceBytes);
      await this.fill(piece, position + at);
      visit?.(piece);
    }
    return data;
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  private async fill(target: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < target.length; ) {
      const { bytesRead } = await this.handle
        .read(target, done, target.length - done, position + done)
        .catch((error: Error) => {
          throw new EspalierError('ERR_CHECKPOINT', `cannot read ${this.path}: ${error.message}`, { cause: error });
        });
      if (bytesRead === 0) {
        throw new EspalierError(
          'ERR_CHECKPOINT',
          `${this.path} became shorter while it was read (download or save it again)`,
        );
      }
      done += bytesRead;
    }
  }
}

/** Room for a tensor. Throws ERR_OUT_OF_MEMORY. */
export function allocate(bytes: number, name: string): Uint8Array {
  try {
    return new Uint8Array(bytes);
  } catch (error) {
    throw new EspalierError('ERR_OUT_OF_MEMORY', `no memory for the ${bytes} bytes of tensor ${name}`, {
      cause: error,
    });
  }
}
