#pragma once

// Small matrix products between operands that fit in the cache, for attention. Each element of the result is one chain
// of multiply-adds in the order of the summed index, whatever the tiling: results do not depend on the sizes around
// them.

#include <stdint.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

namespace espalier {
namespace {

constexpr int kTileRows = 6;
constexpr int kTileVectors = Vec::kRegisters == 32 ? 4 : 2;

/// How element (i, p) of the left operand is stored: a[i * stride + p], or a[p * stride + i].
enum class Left { rows, columns };

template <int kRows, int kVectors, Left kLeft>
inline void productTile(int depth, ConstRows a, ConstRows b, Rows c, bool accumulate) {
  Vec sums[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      sums[i][v] = accumulate ? Vec::load(c.data + i * c.stride + v * Vec::kWidth) : Vec::zero();
    }
  }
  for (int p = 0; p < depth; ++p) {
    Vec right[kVectors];
    for (int v = 0; v < kVectors; ++v) right[v] = Vec::load(b.data + p * b.stride + v * Vec::kWidth);
    for (int i = 0; i < kRows; ++i) {
      const Vec left = Vec::broadcast(kLeft == Left::rows ? a.data[i * a.stride + p] : a.data[p * a.stride + i]);
      for (int v = 0; v < kVectors; ++v) sums[i][v] = fma(left, right[v], sums[i][v]);
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) sums[i][v].store(c.data + i * c.stride + v * Vec::kWidth);
  }
}

/// All rows of a panel of kVectors vectors' width, kRows at a time and the remainder in one smaller tile.
template <int kRows, int kVectors, Left kLeft>
void productPanel(int rows, int depth, ConstRows a, ConstRows b, Rows c, bool accumulate) {
  const int64_t step = kLeft == Left::rows ? a.stride : 1;
  int i = 0;
  for (; i + kRows <= rows; i += kRows) {
    productTile<kRows, kVectors, kLeft>(depth, {a.data + i * step, a.stride}, b, {c.data + i * c.stride, c.stride},
                                        accumulate);
  }
  if constexpr (kRows > 1) {
    if (i < rows) {
      productPanel<kRows - 1, kVectors, kLeft>(rows - i, depth, {a.data + i * step, a.stride}, b,
                                               {c.data + i * c.stride, c.stride}, accumulate);
    }
  }
}

/// c[rows, cols] (+)= a[rows, depth] * b[depth, cols]; cols is a multiple of Vec::kWidth.
template <Left kLeft, int kVectors = kTileVectors>
void product(int rows, int cols, int depth, ConstRows a, ConstRows b, Rows c, bool accumulate = false) {
  constexpr int kCols = kVectors * Vec::kWidth;
  int j = 0;
  for (; j + kCols <= cols; j += kCols) {
    productPanel<kTileRows, kVectors, kLeft>(rows, depth, a, {b.data + j, b.stride}, {c.data + j, c.stride},
                                             accumulate);
  }
  if constexpr (kVectors > 1) {
    if (j < cols) {
      product<kLeft, kVectors - 1>(rows, cols - j, depth, a, {b.data + j, b.stride}, {c.data + j, c.stride},
                                   accumulate);
    }
  }
}

inline ConstRows constant(Rows rows) { return {rows.data, rows.stride}; }

}  // namespace
}  // namespace espalier
