#pragma once

#include <algorithm>

#include "backend/cpu/kernels.h"
#include "core/matrix.h"
#include "core/thread_pool.h"

namespace espalier::cpu {

/// Calls body(first, count) for consecutive ranges of at most `chunk` indices that cover [0, total), in parallel.
template <typename Body>
void forEachChunk(int threads, int64_t total, int64_t chunk, const Body& body) {
  parallelFor(threads, (total + chunk - 1) / chunk, [&](int64_t index) {
    const int64_t first = index * chunk;
    body(first, std::min(chunk, total - first));
  });
}

/// Rows a thread takes at a time: about 64 KiB.
inline int64_t rowsPerChunk(int64_t cols) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, cols)); }

/// Columns a thread sums up at a time: their running sums stay in the cache while it walks down all rows.
constexpr int64_t kSumColumns = 128;

inline const float* floats(const void* vector) { return static_cast<const float*>(vector); }

/// A matrix as the kernels take it, from its element (row, col) on; no data where the matrix is absent.
inline Rows rowsOf(const Matrix& matrix, int64_t row = 0, int64_t col = 0) {
  if (!matrix) return {};
  return {matrix.row<float>(row) + col, matrix.stride};
}
inline ConstRows constRowsOf(const Matrix& matrix, int64_t row = 0, int64_t col = 0) {
  const Rows rows = rowsOf(matrix, row, col);
  return {rows.data, rows.stride};
}

}  // namespace espalier::cpu
