import type { DType, TensorData } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';

/** All ones in an IEEE exponent mean infinity or not-a-number. */
const exponentMasks: Record<DType, number> = { f32: 0x7f800000, f16: 0x7c00, bf16: 0x7f80 };

/** Whether raw little-endian numbers hold neither NaN nor infinity. */
export function allFinite(dtype: DType, bytes: Uint8Array): boolean {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  const { buffer, byteOffset, byteLength } = aligned;
  const mask = exponentMasks[dtype];
  const bits =
    dtype === 'f32'
      ? new Int32Array(buffer, byteOffset, byteLength / 4)
      : new Int16Array(buffer, byteOffset, byteLength / 2);
  for (let i = 0; i < bits.length; i++) {
    if (((bits[i] as number) & mask) === mask) return false;
  }
  return true;
}

/** Throws ERR_NON_FINITE for a tensor that holds NaN or infinity, as a conversion to f16 may leave. */
export function checkRepresentable(name: string, { dtype, data }: TensorData): void {
  if (allFinite(dtype, data)) return;
  throw new EspalierError('ERR_NON_FINITE', `tensor ${quote(name)} does not fit ${dtype} (give another --dtype)`);
}
