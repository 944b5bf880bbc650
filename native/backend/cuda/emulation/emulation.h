#pragma once

// CUDA's names for a host compiler, so that kernel sources build and run without a GPU: blocks run one after another, a
// block's threads as fibres of the calling thread. Names outside namespace espalier mean what they mean in CUDA.

#include <math.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/convert.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

namespace espalier::cuda::emulation {

template <typename T>
struct alignas(2 * sizeof(T)) Vector2 {
  T x, y;
};

template <typename T>
struct alignas(4 * sizeof(T)) Vector4 {
  T x, y, z, w;
};

}  // namespace espalier::cuda::emulation

using float2 = espalier::cuda::emulation::Vector2<float>;
using float4 = espalier::cuda::emulation::Vector4<float>;
using int2 = espalier::cuda::emulation::Vector2<int>;
using int4 = espalier::cuda::emulation::Vector4<int>;
using uint2 = espalier::cuda::emulation::Vector2<unsigned>;
using uint4 = espalier::cuda::emulation::Vector4<unsigned>;

inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  constexpr dim3(unsigned xs = 1, unsigned ys = 1, unsigned zs = 1) : x(xs), y(ys), z(zs) {}
  unsigned x, y, z;
};

inline thread_local uint3 threadIdx{};
inline thread_local uint3 blockIdx{};
inline thread_local dim3 blockDim;
inline thread_local dim3 gridDim;

namespace espalier::cuda {
namespace emulation {

constexpr unsigned kLanes = 32;
constexpr size_t kMaxDeposit = 64;

/// This block's shared memory.
inline thread_local char* shared = nullptr;

/// This thread's place in its warp.
unsigned lane();

/// __syncthreads().
void syncBlock();

/// Leaves `bytes` (at most kMaxDeposit) of `mine` and waits until every lane of `mask` has called this with the same
/// arguments. Returns the lanes' values one after another, zero for lanes that the warp or `mask` lacks; they stay
/// valid until this lane's next call. `operation` is what an error calls it.
const void* gather(std::string_view operation, unsigned mask, const void* mine, size_t bytes);

/// As gather(): what warp-wide operations are made of.
template <typename T>
const std::array<T, kLanes>& gatherWarp(const T& mine, std::string_view operation = "gatherWarp", unsigned mask = ~0u) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kMaxDeposit);
  return *static_cast<const std::array<T, kLanes>*>(gather(operation, mask, &mine, sizeof(T)));
}

/// What lane `source` holds as `mine`. A GPU leaves the value of an absent lane undefined; here all its bits are set.
template <typename T>
T shuffle(std::string_view operation, unsigned mask, const T& mine, unsigned source) {
  struct Deposit {
    T value;
    bool present;
  };
  const Deposit& found = gatherWarp(Deposit{mine, true}, operation, mask)[source];
  if (found.present) return found.value;
  T undefined;
  std::memset(&undefined, 0xff, sizeof undefined);
  return undefined;
}

/// Calls `thread` as each thread of a grid.
void runGrid(dim3 grid, dim3 block, size_t sharedBytes, const std::function<void()>& thread);

using Work = std::vector<std::function<void()>>;

/// Where this thread's work goes while it is recorded; null otherwise.
inline thread_local std::unique_ptr<Work> recorded;

/// Does it now, or leaves it to the recording that this thread makes.
template <typename Body>
void doOrRecord(const Body& body) {
  if (recorded) {
    recorded->push_back(body);
  } else {
    body();
  }
}

}  // namespace emulation

struct Half {
  uint16_t bits;
};

struct Bfloat16 {
  uint16_t bits;
};

using Stream = struct EmulatedStream*;

/// This block's shared memory: exactly as many bytes as the launch asked for, 128-byte aligned, NaNs at first.
inline char* sharedMemory() { return emulation::shared; }

inline float toFloat(float value) { return value; }

inline float toFloat(Half value) {
  float result;
  espalier::toFloat(DType::f16, &value, 1, &result);
  return result;
}

inline float toFloat(Bfloat16 value) {
  float result;
  espalier::toFloat(DType::bf16, &value, 1, &result);
  return result;
}

/// Rounds to nearest even.
template <typename T>
T fromFloat(float value);

template <>
inline float fromFloat<float>(float value) {
  return value;
}

template <>
inline Half fromFloat<Half>(float value) {
  Half result;
  espalier::fromFloat(&value, 1, DType::f16, &result);
  return result;
}

template <>
inline Bfloat16 fromFloat<Bfloat16>(float value) {
  Bfloat16 result;
  espalier::fromFloat(&value, 1, DType::bf16, &result);
  return result;
}

/// The most shared memory that a block can have: an H100's.
inline size_t sharedMemoryLimit() { return 227 * 1024; }

/// Runs kernel(args...) to its end, or records that. Running throws what a thread threw, and where a GPU would refuse
/// the launch or hang.
template <typename... Parameters, typename... Args>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t sharedBytes, Stream, const Args&... args) {
  emulation::doOrRecord([=] { emulation::runGrid(grid, block, sharedBytes, [&] { kernel(args...); }); });
}

}  // namespace espalier::cuda

inline void __syncthreads() { espalier::cuda::emulation::syncBlock(); }

inline void __syncwarp(unsigned mask = ~0u) { espalier::cuda::emulation::gatherWarp('\0', "__syncwarp", mask); }

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const unsigned first = espalier::cuda::emulation::lane() & ~(width - 1u);
  return espalier::cuda::emulation::shuffle("__shfl_sync", mask, value, first + (source & (width - 1u)));
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int laneMask, int width = 32) {
  const unsigned lane = espalier::cuda::emulation::lane();
  const unsigned source = lane ^ laneMask;
  const bool later = source > (lane | (width - 1u));
  return espalier::cuda::emulation::shuffle("__shfl_xor_sync", mask, value, later ? lane : source);
}

template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned lane = espalier::cuda::emulation::lane();
  const bool before = (lane & (width - 1u)) < delta;
  return espalier::cuda::emulation::shuffle("__shfl_up_sync", mask, value, before ? lane : lane - delta);
}

template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned lane = espalier::cuda::emulation::lane();
  const bool behind = (lane & (width - 1u)) + delta >= static_cast<unsigned>(width);
  return espalier::cuda::emulation::shuffle("__shfl_down_sync", mask, value, behind ? lane : lane + delta);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const auto& votes = espalier::cuda::emulation::gatherWarp(predicate != 0, "__ballot_sync", mask);
  unsigned ballot = 0;
  for (unsigned lane = 0; lane < votes.size(); ++lane) ballot |= static_cast<unsigned>(votes[lane]) << lane;
  return ballot;
}

inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

template <typename T>
T __reduce_add_sync(unsigned mask, T value) {
  static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>);
  unsigned sum = 0;
  for (const T other : espalier::cuda::emulation::gatherWarp(value, "__reduce_add_sync", mask)) sum += other;
  return static_cast<T>(sum);
}

inline void __threadfence() {}
inline int atomicAdd(int* address, int value) { return __atomic_fetch_add(address, value, __ATOMIC_RELAXED); }
inline unsigned atomicAdd(unsigned* address, unsigned value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}

template <typename T>
T __ldg(const T* address) {
  return *address;
}

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }

// glibc declares some of these as noexcept.
inline float __expf(float x) noexcept { return expf(x); }
inline float rsqrtf(float x) noexcept { return 1 / sqrtf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1 / x; }

template <typename A, typename B, typename T = std::common_type_t<A, B>>
constexpr std::enable_if_t<std::is_integral_v<A> && std::is_integral_v<B>, T> min(A a, B b) {
  return std::min<T>(a, b);
}

template <typename A, typename B, typename T = std::common_type_t<A, B>>
constexpr std::enable_if_t<std::is_integral_v<A> && std::is_integral_v<B>, T> max(A a, B b) {
  return std::max<T>(a, b);
}
