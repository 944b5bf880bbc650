#pragma once

// Rows read and written several neighbouring elements at a time.

#include <initializer_list>

#include "backend/cuda/kernel.h"
#include "core/matrix.h"

namespace espalier::cuda {

/// Elements of 16 bytes, the widest access.
template <typename T>
constexpr int kWidest = 16 / static_cast<int>(sizeof(T));

/// N neighbouring elements, moved by one instruction.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T values[N];
};

/// As many floats as a pack has elements: what kernels compute with.
template <int N>
struct Floats {
  float values[N];

  __device__ float& operator[](int i) { return values[i]; }
  __device__ float operator[](int i) const { return values[i]; }
};

/// Elements from `from` on, at most `count` of them; zeros in the place of the others. Whether they lie aligned changes
/// how they are read, not which thread has which.
template <bool kAligned, typename T, int N = kWidest<T>>
__device__ Floats<N> load(const T* from, int64_t count) {
  Floats<N> result;
  if (kAligned && count >= N) {
    const auto pack = *reinterpret_cast<const Pack<T, N>*>(from);
    for (int i = 0; i < N; ++i) result[i] = toFloat(pack.values[i]);
  } else {
    for (int i = 0; i < N; ++i) result[i] = i < count ? toFloat(from[i]) : 0.0f;
  }
  return result;
}

template <bool kAligned, typename T, int N>
__device__ void store(T* to, int64_t count, const Floats<N>& values) {
  if (kAligned && count >= N) {
    Pack<T, N> pack;
    for (int i = 0; i < N; ++i) pack.values[i] = fromFloat<T>(values[i]);
    *reinterpret_cast<Pack<T, N>*>(to) = pack;
  } else {
    for (int i = 0; i < N; ++i) {
      if (i < count) to[i] = fromFloat<T>(values[i]);
    }
  }
}

/// Rows of a matrix on the device.
template <typename T>
struct RowsOf {
  T* data = nullptr;
  int64_t stride = 0;

  RowsOf() = default;
  RowsOf(const Matrix& matrix) : data(static_cast<T*>(matrix.data)), stride(matrix.stride) {}

  __device__ T* row(int64_t index) const { return data + index * stride; }
};

/// Whether every row of the given matrices begins at a multiple of 16 bytes. Absent ones do not count.
inline bool startAligned(std::initializer_list<Matrix> matrices) {
  for (const Matrix& matrix : matrices) {
    const int64_t rowBytes = matrix.stride * static_cast<int64_t>(dtypeBytes(matrix.dtype));
    if (reinterpret_cast<uintptr_t>(matrix.data) % 16 != 0 || (matrix.rows > 1 && rowBytes % 16 != 0)) return false;
  }
  return true;
}

inline bool startAligned(const void* vector) { return reinterpret_cast<uintptr_t>(vector) % 16 == 0; }

constexpr int kThreads = 256;

/// Blocks of kThreads for `count` threads.
inline dim3 blocksFor(int64_t count, int threads = kThreads) {
  return dim3(static_cast<unsigned>((count + threads - 1) / threads));
}

/// The place of this thread in a grid of rows x packs of columns.
struct Cell {
  int64_t row, column;
};

__device__ inline Cell cellOf(int64_t cols, int perPack) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t packs = (cols + perPack - 1) / perPack;
  return {index / packs, index % packs * perPack};
}

/// Threads that cellOf() has a place for.
inline int64_t cellsOf(int64_t rows, int64_t cols, int perPack) { return rows * ((cols + perPack - 1) / perPack); }

}  // namespace espalier::cuda
