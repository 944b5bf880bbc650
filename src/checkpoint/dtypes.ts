import type { DType, TensorData } from '../native/addon.js';

/** Every dtype a safetensors file may hold, with the bytes of an element. */
export const elementBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
} as const;

export type StoredDType = keyof typeof elementBytes;

/** Those that weights may have, as safetensors calls them. */
export const storedDTypes: Record<DType, StoredDType> = { f32: 'F32', f16: 'F16', bf16: 'BF16' };

/** The same as config.json calls them. */
export const torchDTypes: Record<DType, string> = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' };

export function byteLength(dtype: StoredDType, shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, elementBytes[dtype]);
}

/** The dtype all weights share, f32 where they differ. */
export function commonDType(weights: ReadonlyMap<string, TensorData>): DType {
  const dtypes = new Set([...weights.values()].map(({ dtype }) => dtype));
  const [first = 'f32'] = dtypes;
  return dtypes.size === 1 ? first : 'f32';
}
