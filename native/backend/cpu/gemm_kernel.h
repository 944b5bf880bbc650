#pragma once

// Included once per instruction set: everything below is compiled anew for each, in anonymous namespaces.

#include "backend/cpu/gemm_kernels.h"
#include "backend/cpu/simd_math.h"
#include "backend/cpu/simd_rows.h"

namespace espalier {
namespace {

using cpu::PanelEpilogue;
using cpu::PanelLayout;
using cpu::PanelProduct;

// The sums, one row of b and one element of a fill the registers.
constexpr int kTileVectors = 2;
constexpr int kTileRows = Vec::kRegisters == 32 ? 14 : 6;
constexpr int kTileCols = kTileVectors * Vec::kWidth;
constexpr int kTileSize = kTileRows * kTileCols;
/// With many registers a row of b serves enough multiply-adds to come from the second-level cache in time: depth then
/// saves passes over the unfinished tiles. Otherwise a panel of b takes two thirds of a first-level cache. An odd
/// number of cache lines spreads the rows of a over all sets of a cache.
constexpr int kDepth = Vec::kRegisters == 32 ? 1040 : 400;
/// The rows of a panel of a are streams of their own; the processor's prefetching keeps up with a few only.
constexpr bool kPrefetchesA = kTileRows > 8;

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/// Keeps g++ from turning one broadcast into a load in each product that uses it: loads would be the bottleneck.
inline Vec broadcastOnce(float value) {
  Vec result = Vec::broadcast(value);
#if defined(__x86_64__) && !defined(__clang__)
  asm("" : "+x"(result.lanes));
#endif
  return result;
}

inline void prefetchSecondLevel(const float* data) { __builtin_prefetch(data, 0, 2); }

struct TileOperands {
  int64_t depth;
  const float* a;
  int64_t aStride;  // of the rows of a, where they are laid out byRow
  const float* b;
  const float* nextA;  // the panel that follows a
  int64_t nextAStep;   // how much of it to fetch with each k
  const float* nextB;  // this tile's part of the panel that follows b, often far away still
  int64_t nextBStep;   // how much of it to fetch with every fourth k
};

/// The rows of a panel of a. Three rows share a pointer: more pointers would not fit the registers.
template <PanelLayout kLayout, int kRows>
class PanelRows {
 public:
  PanelRows(const float* first, int64_t stride) : stride_(kLayout == PanelLayout::byRow ? stride : 1) {
    for (int i = 0; i < kPointers; ++i) rows_[i] = first + 3 * i * stride_;
  }
  float operator[](int row) const { return rows_[row / 3][row % 3 * stride_]; }
  void nextK() {
    for (int i = 0; i < kPointers; ++i) rows_[i] += kLayout == PanelLayout::byRow ? 1 : kTileRows;
  }

 private:
  static constexpr int kPointers = (kRows + 2) / 3;
  const float* rows_[kPointers];
  const int64_t stride_;
};

/// tile (+)= a b in the first kVectors vectors of its columns: the sum over this block of k in registers, one
/// multiply-add a k, then added to what the tile holds.
template <PanelLayout kLayout, int kVectors, int kRows>
void multiplyTile(const TileOperands& operands, bool accumulate, float* tile) {
  PanelRows<kLayout, kRows> a(operands.a, operands.aStride);
  const float* b = operands.b;
  Vec sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[row][v] = Vec::zero();
  }
  const float* nextA = operands.nextA;
  const float* nextB = operands.nextB;
  const auto multiplyAdd = [&] {
    Vec right[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) right[v] = Vec::load(b + v * Vec::kWidth);
#pragma GCC unroll 16
    for (int row = 0; row < kRows; ++row) {
      const Vec left = broadcastOnce(a[row]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[row][v] = fma(left, right[v], sums[row][v]);
    }
    if constexpr (kPrefetchesA) {
      prefetchSecondLevel(nextA);
      nextA += operands.nextAStep;
    }
    a.nextK();
    b += kTileCols;
  };
  int64_t k = 0;
  for (; k + 4 <= operands.depth; k += 4) {
    prefetchSecondLevel(nextB);
    nextB += operands.nextBStep;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) multiplyAdd();
  }
  for (; k < operands.depth; ++k) multiplyAdd();
#pragma GCC unroll 16
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* to = tile + row * kTileCols + v * Vec::kWidth;
      const Vec sum = sums[row][v];
      (accumulate ? Vec::load(to) + sum : sum).store(to);
    }
  }
}

/// Tiles of any height up to kTileRows: each element's sum is the same whatever the height.
template <PanelLayout kLayout, int kVectors, int kRows = kTileRows>
inline void multiplyTileOf(int64_t rows, const TileOperands& operands, bool accumulate, float* tile) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return multiplyTileOf<kLayout, kVectors, kRows - 1>(rows, operands, accumulate, tile);
  }
  multiplyTile<kLayout, kVectors, kRows>(operands, accumulate, tile);
}

void addToSums(const float* tile, int64_t count, bool accumulate, double* sums) {
  for (int64_t i = 0; i < count; ++i) sums[i] = (accumulate ? sums[i] : 0.0) + static_cast<double>(tile[i]);
}

inline const float* element(const ConstRows& rows, int64_t row, int64_t col) {
  return rows.data + row * rows.stride + col;
}
inline float* element(const Rows& rows, int64_t row, int64_t col) { return rows.data + row * rows.stride + col; }

inline Vec identity(Vec x) { return x; }

template <Vec (*kActivation)(Vec)>
void finishTile(const float* tile, int64_t firstRow, int64_t rows, int64_t cols, const PanelEpilogue& epilogue) {
  forEachVector(cols, [&](int64_t col, int lanes) {
    const Vec bias = epilogue.bias == nullptr ? Vec::zero() : loadLanes(epilogue.bias + col, lanes);
    const Vec mask =
        epilogue.columnMask == nullptr ? Vec::broadcast(1.0f) : loadLanes(epilogue.columnMask + col, lanes);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t place = firstRow + row;
      Vec value = Vec::load(tile + row * kTileCols + col) + bias;
      if (epilogue.preActivation.data != nullptr) storeLanes(value, element(epilogue.preActivation, place, col), lanes);
      value = kActivation(value) * mask;
      if (epilogue.residual.data != nullptr) value = value + loadLanes(element(epilogue.residual, place, col), lanes);
      storeLanes(value, element(epilogue.y, place, col), lanes);
    }
  });
}

void finishTile(const float* tile, int64_t firstRow, int64_t rows, int64_t cols, const PanelEpilogue& epilogue) {
  switch (epilogue.activation) {
    case Activation::none:
      return finishTile<identity>(tile, firstRow, rows, cols, epilogue);
    case Activation::gelu:
      return finishTile<gelu>(tile, firstRow, rows, cols, epilogue);
    case Activation::geluTanh:
      return finishTile<geluTanh>(tile, firstRow, rows, cols, epilogue);
    case Activation::relu:
      return finishTile<relu>(tile, firstRow, rows, cols, epilogue);
    case Activation::tanh:
      return finishTile<tanh>(tile, firstRow, rows, cols, epilogue);
  }
}

/// Asks for memory that is needed a while later and may be far away.
template <typename T>
inline void prefetch(T* data, int64_t count) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t i = 0; i < count; i += kLine) __builtin_prefetch(data + i);
}

template <typename AnyRows>
void prefetchRows(const AnyRows& rows, int64_t first, int64_t count, int64_t cols) {
  if (rows.data == nullptr) return;
  for (int64_t row = first; row < first + count; ++row) prefetch(element(rows, row, 0), cols);
}

template <PanelLayout kLayout, int kVectors>
void multiplyPanel(const PanelProduct& product) {
  alignas(64) float chunk[kTileSize] = {};
  const PanelEpilogue* epilogue = product.epilogue;
  const int64_t depth = product.depth, tiles = (product.rows + kTileRows - 1) / kTileRows;
  const int64_t panelSize = kTileRows * (kLayout == PanelLayout::byRow ? product.aStride : depth);
  for (int64_t index = 0; index < tiles; ++index) {
    TileOperands operands{depth, product.a + index * panelSize, product.aStride, product.b, {}, {}, {}, {}};
    // The next product begins with the first panel again.
    operands.nextA = product.a + (index + 1 < tiles ? index + 1 : 0) * panelSize;
    operands.nextAStep = panelSize / (depth == 0 ? 1 : depth);
    operands.nextB = product.nextB + kTileCols * depth * index / tiles;
    operands.nextBStep = (4 * kTileCols + tiles - 1) / tiles;
    const int64_t row = index * kTileRows;
    const int64_t rows = smaller(kTileRows, product.rows - row);
    const int64_t place = row * kTileCols;
    if (product.sums != nullptr) {
      prefetch(product.sums + place, rows * kTileCols);
      multiplyTileOf<kLayout, kVectors>(rows, operands, false, chunk);
      addToSums(chunk, rows * kTileCols, product.accumulate, product.sums + place);
      continue;
    }
    // A product of one block of k needs no memory between the blocks.
    float* tile = product.tiles == nullptr ? chunk : product.tiles + place;
    if (product.tiles != nullptr) prefetch(tile, rows * kTileCols);
    if (epilogue != nullptr) {
      prefetchRows(epilogue->y, row, rows, product.cols);
      prefetchRows(epilogue->preActivation, row, rows, product.cols);
      prefetchRows(epilogue->residual, row, rows, product.cols);
    }
    multiplyTileOf<kLayout, kVectors>(rows, operands, product.accumulate, tile);
    if (epilogue != nullptr) finishTile(tile, row, rows, product.cols, *epilogue);
  }
}

/// A panel that is at most half full, as the last one of many pruned widths, costs half as much.
template <PanelLayout kLayout>
void multiplyColumns(const PanelProduct& product) {
  if (product.cols <= Vec::kWidth) {
    multiplyPanel<kLayout, 1>(product);
  } else {
    multiplyPanel<kLayout, kTileVectors>(product);
  }
}

void multiply(const PanelProduct& product) {
  if (product.layout == PanelLayout::byRow) {
    multiplyColumns<PanelLayout::byRow>(product);
  } else {
    multiplyColumns<PanelLayout::byDepth>(product);
  }
}

template <int kWidth>
void packByDepth(const float* from, int64_t stride, int64_t count, int64_t depth, float* to) {
  // Panels are written side by side, few enough at a time for the first-level cache.
  constexpr int64_t kStrip = 256 / kWidth * kWidth;
  // Each row lies on another page, where the processor's own prefetching stops.
  constexpr int64_t kAhead = 8;
  for (int64_t first = 0; first < count; first += kStrip, from += kStrip, to += kStrip * depth) {
    const int64_t cols = smaller(kStrip, count - first);
    for (int64_t k = 0; k < depth; ++k) {
      const float* row = from + k * stride;
      float* panel = to + k * kWidth;
      int64_t col = 0;
      for (; col + kWidth <= cols; col += kWidth, panel += kWidth * depth) {
        prefetch(row + kAhead * stride + col, kWidth);
        __builtin_memcpy(panel, row + col, kWidth * sizeof(float));
      }
      if (col == cols) continue;
      for (int i = 0; i < kWidth; ++i) panel[i] = col + i < cols ? row[col + i] : 0.0f;
    }
  }
}

constexpr cpu::GemmKernels kGemmKernels = {
    kTileRows, kTileCols, kDepth, multiply, packByDepth<kTileRows>, packByDepth<kTileCols>};

}  // namespace
}  // namespace espalier
