#pragma once

// The language of the kernels: CUDA where nvcc compiles them; on a host, the emulation's twins of the same names.
// Kernels take their shared memory from sharedMemory() only, and use of CUDA's warp intrinsics the ones listed in
// emulation/emulation.h.

#include <cstddef>
#include <cstdint>

#include "core/error.h"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#else
#include "backend/cuda/emulation/emulation.h"
#endif

namespace espalier::cuda {

#if defined(__CUDACC__)

using Half = __half;
using Bfloat16 = __nv_bfloat16;
using Stream = cudaStream_t;

/// This block's dynamic shared memory, as many bytes as the launch asked for, 128-byte aligned.
__device__ inline char* sharedMemory() {
  extern __shared__ __align__(128) char espalierShared[];
  return espalierShared;
}

__device__ inline float toFloat(float value) { return value; }
__device__ inline float toFloat(Half value) { return __half2float(value); }
__device__ inline float toFloat(Bfloat16 value) { return __bfloat162float(value); }

/// Rounds to nearest even.
template <typename T>
__device__ inline T fromFloat(float value);
template <>
__device__ inline float fromFloat<float>(float value) {
  return value;
}
template <>
__device__ inline Half fromFloat<Half>(float value) {
  return __float2half_rn(value);
}
template <>
__device__ inline Bfloat16 fromFloat<Bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

/// The most shared memory that a block can have on the current device.
size_t sharedMemoryLimit();

/// Lets a block of the kernel have so much shared memory on the current device. Throws unsupported where it has less.
void allowSharedMemory(const void* kernel, size_t bytes);

/// Throws where the last kernel of this thread could not be started.
void checkStart();

/// Starts kernel(args...) on `stream`; throws when it could not be started.
template <typename... Parameters, typename... Args>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t sharedBytes, Stream stream,
            const Args&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  constexpr size_t kWithoutAsking = 48 * 1024;
  if (sharedBytes > kWithoutAsking) allowSharedMemory(reinterpret_cast<const void*>(kernel), sharedBytes);
  kernel<<<grid, block, sharedBytes, stream>>>(args...);
  checkStart();
}

#endif

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

/// The sum of every lane's value, in a fixed order, on every lane.
__device__ inline float warpSum(float value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

__device__ inline float warpMax(float value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

}  // namespace espalier::cuda
