#pragma once

#include <cstdint>

#include "backend/cpu/gemm_kernels.h"

namespace espalier::cpu {

constexpr int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t roundUp(int64_t a, int64_t multiple) { return ceilDivide(a, multiple) * multiple; }

/// Consecutive ranges of `length` (the last may be shorter) that cover [0, total); one empty range where that is empty.
struct Split {
  int64_t total;
  int64_t length;

  int64_t count() const { return total == 0 ? 1 : ceilDivide(total, length); }
  int64_t first(int64_t index) const { return index * length; }
  int64_t size(int64_t index) const { return length < total - first(index) ? length : total - first(index); }
};

/// A part of a product's result.
struct Block {
  int64_t firstRow, rows;
  int64_t firstCol, cols;
};

/// A product's result cut into blocks of whole tiles, each of which one thread computes.
struct Blocks {
  Split rows, cols;

  int64_t count() const { return rows.count() * cols.count(); }
  Block operator[](int64_t index) const;
};

/// Sizes of a product and how large its blocks may be.
struct ProductShape {
  int64_t rows, cols, depth;
  int64_t mostRows, mostCols;
};

/// Blocks for `threads` to share evenly, each as large as that and the shape's limits allow.
Blocks shareOut(const GemmKernels& kernels, const ProductShape& shape, int threads);

/// Bytes of a core's second-level cache.
int64_t secondLevelCache();

/// Rows of a block of a whose packed form, `depth` deep, takes half of the second-level cache.
int64_t cachedRows(const GemmKernels& kernels, int64_t depth);

}  // namespace espalier::cpu
