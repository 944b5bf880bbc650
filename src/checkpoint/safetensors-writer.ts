import { open } from 'node:fs/promises';
import type { TensorData } from '../native/addon.js';
import { throwIfAborted } from '../native/cancel.js';
import { byteLength, storedDTypes } from './dtypes.js';
import { checkRepresentable } from './finite.js';
import { lengthPrefixBytes } from './safetensors-header.js';

/** What a header length is rounded up to, so that the tensors behind it are aligned. */
const alignment = 8;

/**
 * Writes tensors to a new safetensors file. Wider elements come first, as the format's own
 * library orders them, so that every tensor is aligned to its element; among equals the names decide.
 * Errors of the file system pass through. Throws ERR_NON_FINITE for NaN and infinity, as a conversion to f16 may leave, and
 * ERR_CANCELLED when `signal` aborts between two tensors.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorData>,
  signal?: AbortSignal,
): Promise<void> {
  const ordered = [...tensors].sort(
    ([nameA, a], [nameB, b]) => elementBytes(b) - elementBytes(a) || (nameA < nameB ? -1 : 1),
  );
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(encodeHeader(ordered));
    for (const [name, tensor] of ordered) {
      throwIfAborted(signal);
      checkRepresentable(name, tensor);
      await handle.writeFile(tensor.data);
    }
  } finally {
    await handle.close();
  }
}

function elementBytes({ dtype }: TensorData): number {
  return byteLength(storedDTypes[dtype], []);
}

function encodeHeader(ordered: [string, TensorData][]): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let position = 0;
  for (const [name, { dtype, shape, data }] of ordered) {
    header[name] = { dtype: storedDTypes[dtype], shape, data_offsets: [position, position + data.length] };
    position += data.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Math.ceil(json.length / alignment) * alignment;
  const bytes = Buffer.alloc(lengthPrefixBytes + length, ' ');
  bytes.writeBigUInt64LE(BigInt(length));
  json.copy(bytes, lengthPrefixBytes);
  return bytes;
}
