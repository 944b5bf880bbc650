#pragma once

// Small matrix products between operands that fit in the cache, for attention. Each element of the result is one chain
// of multiply-adds in the order of the summed index, whatever the tiling: results do not depend on the sizes around
// them.

#include <stdint.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd_rows.h"

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

/// The rows of one head, copied together and filled up with zeros to `to.stride` columns.
inline void copyHead(int rows, int headSize, ConstRows from, Rows to) {
  for (int i = 0; i < rows; ++i) {
    const float* source = from.data + i * from.stride;
    float* target = to.data + i * to.stride;
    for (int col = 0; col < to.stride; col += Vec::kWidth) {
      const int lanes = headSize - col;
      const Vec value = lanes >= Vec::kWidth ? Vec::load(source + col) : Vec::loadPartial(source + col, lanes);
      value.store(target + col);
    }
  }
}

/// to[col][i] = from[i][col] for i < rows, and 0 for rows <= i < lanes; lanes is a multiple of 4.
inline void transposeHead(int rows, int lanes, int headSize, ConstRows from, Rows to) {
  typedef float Quad __attribute__((vector_size(16)));
  int col = 0;
  for (; col + 4 <= headSize; col += 4) {
    for (int i = 0; i < lanes; i += 4) {
      Quad in[4] = {};
      for (int k = 0; k < 4 && i + k < rows; ++k) {
        __builtin_memcpy(&in[k], from.data + (i + k) * from.stride + col, sizeof(Quad));
      }
      const Quad low01 = __builtin_shufflevector(in[0], in[1], 0, 4, 1, 5);
      const Quad high01 = __builtin_shufflevector(in[0], in[1], 2, 6, 3, 7);
      const Quad low23 = __builtin_shufflevector(in[2], in[3], 0, 4, 1, 5);
      const Quad high23 = __builtin_shufflevector(in[2], in[3], 2, 6, 3, 7);
      const Quad out[4] = {
          __builtin_shufflevector(low01, low23, 0, 1, 4, 5), __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
          __builtin_shufflevector(high01, high23, 0, 1, 4, 5), __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
      for (int k = 0; k < 4; ++k) __builtin_memcpy(to.data + (col + k) * to.stride + i, &out[k], sizeof(Quad));
    }
  }
  for (; col < headSize; ++col) {
    for (int i = 0; i < lanes; ++i) {
      to.data[col * to.stride + i] = i < rows ? from.data[i * from.stride + col] : 0.0f;
    }
  }
}

/// to = factor * from for one row of a head.
inline void writeHeadRow(const float* from, float factor, int headSize, float* to) {
  const Vec factors = Vec::broadcast(factor);
  forEachVector(headSize,
                [&](int64_t col, int lanes) { storeLanes(Vec::load(from + col) * factors, to + col, lanes); });
}

/// Asks for the cache lines of one head's rows.
inline void prefetchHead(int rows, int headSize, ConstRows from) {
  for (int i = 0; i < rows; ++i) {
    for (int col = 0; col < headSize; col += 16) __builtin_prefetch(from.data + i * from.stride + col);
  }
}

/// Hands out the rows of scratch one array after another.
struct Scratch {
  float* next;
  Rows rows(int count, int64_t stride) {
    const Rows result = {next, stride};
    next += count * stride;
    return result;
  }
};

inline ConstRows constant(Rows rows) { return {rows.data, rows.stride}; }

}  // namespace
}  // namespace espalier
