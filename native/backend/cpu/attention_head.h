#pragma once

// One head's rows on their way between the model's matrices, where they lie far apart, and an attention kernel's
// scratch.

#include <stdint.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd_rows.h"
#include "backend/cpu/tile_product.h"

namespace espalier {
namespace {

/// Lanes that hold `queries` queries: whole vectors.
inline int lanesFor(int queries) { return (queries + Vec::kWidth - 1) / Vec::kWidth * Vec::kWidth; }

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

/// to[col][i] = factor * from[i][col] for i < rows, and 0 for rows <= i < lanes; lanes is a multiple of 4.
inline void transposeHead(int rows, int lanes, int headSize, float factor, ConstRows from, Rows to) {
  typedef float Quad __attribute__((vector_size(16)));
  int col = 0;
  for (; col + 4 <= headSize; col += 4) {
    for (int i = 0; i < lanes; i += 4) {
      Quad in[4] = {};
      for (int k = 0; k < 4 && i + k < rows; ++k) {
        __builtin_memcpy(&in[k], from.data + (i + k) * from.stride + col, sizeof(Quad));
        in[k] *= factor;
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
      to.data[col * to.stride + i] = i < rows ? factor * from.data[i * from.stride + col] : 0.0f;
    }
  }
}

/// to = factor * from for one row of a head.
inline void writeHeadRow(const float* from, float factor, int headSize, float* to) {
  const Vec factors = Vec::broadcast(factor);
  forEachVector(headSize,
                [&](int64_t col, int lanes) { storeLanes(Vec::load(from + col) * factors, to + col, lanes); });
}

/// to[j][i] = from[j][i] times what dropout multiplies the weight of key j with where query first + i asks.
inline void dropOut(int keys, int lanes, const DroppedOut& droppedOut, int first, ConstRows from, Rows to) {
  const DropoutFactors<float> factors = droppedOut.factors;
  for (int j = 0; j < keys; ++j) {
    const uint32_t element = droppedOut.first + static_cast<uint32_t>(first) * droppedOut.queryStep + j;
    const float* source = from.data + j * from.stride;
    float* target = to.data + j * to.stride;
    for (int i = 0; i < lanes; ++i) target[i] = source[i] * factors.of(element + i * droppedOut.queryStep);
  }
}

/// Asks for the cache lines of one head's rows: they lie a whole matrix row apart, where no hardware looks ahead.
inline void prefetchHead(int first, int rows, int headSize, ConstRows from) {
  for (int i = first; i < first + rows; ++i) {
    for (int col = 0; col < headSize; col += 16) __builtin_prefetch(from.data + i * from.stride + col);
  }
}

/// product() of a head's rows that may be far away: brings them and the rows of `after`, wanted next, while it
/// computes.
inline void productOfHead(int rows, int cols, int headSize, ConstRows a, ConstRows b, Rows c, ConstRows after) {
  for (int i = 0; i < rows; i += kTileRows) {
    const int left = rows - i, count = left < kTileRows ? left : kTileRows;
    prefetchHead(i + count, left - count < kTileRows ? left - count : kTileRows, headSize, a);
    prefetchHead(i, count, headSize, after);
    product<Left::rows>(count, cols, headSize, {a.data + i * a.stride, a.stride}, b, {c.data + i * c.stride, c.stride});
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

}  // namespace
}  // namespace espalier
