import { EspalierError } from '../native/errors.js';
import { RangedFile } from './ranged-file.js';
import { lengthPrefixBytes, parseHeader, readHeaderLength, type TensorEntry } from './safetensors-header.js';
import type { WeightFile } from './weight-files.js';

/** An open safetensors file; tensors are read one at a time. */
export class SafetensorsFile implements WeightFile {
  private constructor(
    private readonly file: RangedFile,
    readonly tensors: ReadonlyMap<string, TensorEntry>,
    private readonly dataStart: number,
  ) {}

  /** Opens a file and checks its header. Throws ERR_CHECKPOINT. */
  static open(path: string): Promise<SafetensorsFile> {
    return RangedFile.open(path, async (file) => {
      const prefix = await file.read(0, Math.min(file.bytes, lengthPrefixBytes));
      const header = await file.read(lengthPrefixBytes, readHeaderLength(prefix, file.bytes, path));
      const dataStart = lengthPrefixBytes + header.length;
      return new SafetensorsFile(file, parseHeader(header, file.bytes - dataStart, path), dataStart);
    });
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
    return this.file.readTensor(name, this.dataStart + entry.start, entry.end - entry.start, visit);
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
