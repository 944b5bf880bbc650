#pragma once

#include <cstdint>

#include "backend/cpu/gemm_kernels.h"

namespace espalier::cpu {

constexpr int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t roundUp(int64_t a, int64_t multiple) { return ceilDivide(a, multiple) * multiple; }

/// Consecutive ranges of equal length (the last may be shorter) that cover [0, total).
struct Split {
  int64_t total;
  int64_t length;

  int64_t count() const { return ceilDivide(total, length); }
  int64_t first(int64_t index) const { return index * length; }
  int64_t size(int64_t index) const { return length < total - first(index) ? length : total - first(index); }
};

/// How the result of a product is shared out: each block is one thread's.
struct Blocks {
  Split rows, cols;
};

/// Blocks of whole tiles, as large as the caches reward, and small enough that `threads` share them evenly.
Blocks shareOut(const GemmKernels& kernels, int64_t rows, int64_t cols, int threads);

}  // namespace espalier::cpu
