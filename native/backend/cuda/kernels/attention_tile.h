#pragma once

// What attention and its backward share: which rows a block works on, tiles of them in shared memory, and products of
// tiles. Every warp owns 16 rows of the block's left tiles; right tiles pass by, kTileColumns rows at a time.

#include <algorithm>
#include <string>
#include <type_traits>

#include "backend/cuda/kernel.h"
#include "backend/cuda/kernels/vectors.h"
#include "backend/cuda/kernels/warp_products.h"
#include "backend/cuda/mma.h"
#include "backend/dropout.h"
#include "backend/table.h"

namespace espalier::cuda {

constexpr int kMostWarps = 4;
constexpr int kLargestHead = 128;

/// A packed matrix [rows, heads * headSize] on the device.
template <typename T>
struct HeadMatrix {
  RowsOf<T> rows;
  bool aligned = false;  // whether every head's part of a row is whole pieces of 16 bytes, aligned to 16

  HeadMatrix() = default;
  HeadMatrix(const Matrix& matrix, int headSize)
      : rows(matrix), aligned(startAligned({matrix}) && headSize % kWidest<T> == 0) {}
};

/// Which probabilities are dropped out. Elements are numbered modulo 2^32.
struct DroppedOut {
  DropoutFactors<float> factors;
  uint32_t heads, longest;
  bool any;

  explicit DroppedOut(const AttentionArgs& args)
      : factors(args.dropoutRate, args.dropoutKey),
        heads(static_cast<uint32_t>(args.heads)),
        longest(static_cast<uint32_t>(args.longest)),
        any(args.dropoutRate > 0) {}

  /// What a probability, or its gradient, becomes.
  __device__ float of(float value, int64_t query, int head, int key) const {
    return any ? value * factors.of((static_cast<uint32_t>(query) * heads + head) * longest + key) : value;
  }
};

/// The inputs as kernels take them.
template <typename T>
struct AttentionInputs {
  HeadMatrix<const T> q, k, v;
  const int32_t* queryOffsets = nullptr;
  const int32_t* offsets = nullptr;
  const T* headMask = nullptr;
  int heads = 0;
  int headSize = 0;
  float scale = 1;
  DroppedOut droppedOut;

  AttentionInputs(const AttentionArgs& args)
      : q(args.q, args.headSize),
        k(args.k, args.headSize),
        v(args.v, args.headSize),
        queryOffsets(args.queryOffsets),
        offsets(args.offsets),
        headMask(static_cast<const T*>(args.headMask)),
        heads(args.heads),
        headSize(args.headSize),
        scale(static_cast<float>(args.scale)),
        droppedOut(args) {}

  __device__ float mask(int head) const { return headMask ? toFloat(headMask[head]) : 1.0f; }
};

/// Rows of one sequence.
struct RowRange {
  int64_t first = 0;
  int count = 0;

  __device__ RowRange(int64_t firstRow, int rows) : first(firstRow), count(rows) {}
  __device__ RowRange(const int32_t* offsets, int sequence)
      : first(offsets[sequence]), count(offsets[sequence + 1] - offsets[sequence]) {}

  /// Rows from `begin` on, at most `most` of them; none when begin is behind the end.
  __device__ RowRange part(int begin, int most) const { return {first + begin, max(0, min(most, count - begin))}; }
};

/// Rows of a right tile: what leaves enough registers to the sums.
template <typename T>
constexpr int kTileColumns = sizeof(T) == 2 ? 64 : 32;

/// Division by a number that only the host knows, of numbers below 2^31: a product instead of the GPU's long division
/// (Granlund and Montgomery, "Division by Invariant Integers using Multiplication", 1994).
class Divisor {
 public:
  explicit Divisor(int divisor) {
    int bits = 0;
    while ((int64_t{1} << bits) < divisor) ++bits;
    shift_ = 31 + bits;
    multiplier_ = static_cast<uint32_t>(((uint64_t{1} << shift_) + divisor - 1) / divisor);
  }

  __device__ unsigned quotient(unsigned dividend) const {
    return static_cast<unsigned>(uint64_t{dividend} * multiplier_ >> shift_);
  }

 private:
  int shift_;
  uint32_t multiplier_;
};

/// How the work is cut: a block for each sequence, head and tile of rows, 16 rows a warp.
struct BlockPlan {
  int rows = 0;   // of a left tile
  int tiles = 0;  // blocks a head of a sequence
  int heads = 0;
  int stages = 1;     // right tiles at a time: one in use, one on its way
  int stageRows = 0;  // of a right tile
  Divisor byTiles{1}, byHeads{1};

  BlockPlan(const AttentionArgs& args, int columns, int mostWarps = kMostWarps) : heads(args.heads) {
    const int pieces = (args.longest + kPiece - 1) / kPiece;
    if (pieces == 0 || heads == 0) return;
    tiles = (pieces + mostWarps - 1) / mostWarps;
    rows = (pieces + tiles - 1) / tiles * kPiece;
    stages = args.longest > columns ? 2 : 1;
    stageRows = std::min(columns, pieces * kPiece);
    byTiles = Divisor(tiles);
    byHeads = Divisor(heads);
  }

  dim3 grid(int sequences) const {
    return dim3(static_cast<unsigned>(tiles) * static_cast<unsigned>(heads) * static_cast<unsigned>(sequences));
  }
  dim3 block() const { return dim3(static_cast<unsigned>(rows / kPiece * kWarp)); }
};

/// This block's place in the grid of a BlockPlan. Blocks that read the same keys are neighbours.
struct BlockPlace {
  int firstRow, head, sequence;

  __device__ explicit BlockPlace(const BlockPlan& plan) {
    const unsigned index = blockIdx.x, row = plan.byTiles.quotient(index);
    firstRow = static_cast<int>(index - row * plan.tiles) * plan.rows;
    sequence = static_cast<int>(plan.byHeads.quotient(row));
    head = static_cast<int>(row) - sequence * plan.heads;
  }
};

/// A tile's layout: rows of kSize elements, and 16 bytes that spread rows over the banks.
template <typename T, int kSize>
struct TileLayout {
  static constexpr int kStride = kSize + kWidest<T>;

  static constexpr size_t bytes(int rows) { return size_t{sizeof(T)} * rows * kStride; }
};

/// What a thread copies of rows of kSize elements: packs of 16 bytes in one column, from `row` on.
template <typename T, int kSize>
struct PackShare {
  static constexpr int kPacks = kSize / kWidest<T>;  // of a row

  int row, column;

  __device__ explicit PackShare(unsigned thread)
      : row(static_cast<int>(thread / kPacks)), column(static_cast<int>(thread % kPacks) * kWidest<T>) {}
};

/// Starts copying a head's part of the rows of `range`, [count, headSize], into a tile. Zeros follow up to the next
/// multiple of 16 rows and up to kSize columns, so that nothing behind a sequence's end gets into products. What is not
/// aligned is copied at once, element by element.
template <int kSize, typename T>
__device__ void loadTile(T* tile, const HeadMatrix<const T>& matrix, const RowRange& range, int head, int headSize) {
  constexpr int kStride = TileLayout<T, kSize>::kStride;
  using Share = PackShare<T, kSize>;
  const Share mine(threadIdx.x);
  const int rows = (range.count + kPiece - 1) / kPiece * kPiece;
  const int64_t stride = matrix.rows.stride;
  if (matrix.aligned) {
    const int step = static_cast<int>(blockDim.x / Share::kPacks);
    const int present = mine.column < headSize ? range.count : 0;
    const T* from = matrix.rows.row(range.first + mine.row) + (head * headSize + mine.column);
    T* to = tile + mine.row * kStride + mine.column;
    for (int row = mine.row; row < rows; row += step) {
      copyAsync16(to, from, row < present);
      from += step * stride;
      to += step * kStride;
    }
  } else {
    const T* from = matrix.rows.row(range.first) + head * headSize;
    for (int i = static_cast<int>(threadIdx.x); i < rows * kSize; i += static_cast<int>(blockDim.x)) {
      const int row = i / kSize, column = i % kSize;
      const bool inside = row < range.count && column < headSize;
      tile[row * kStride + column] = inside ? from[row * stride + column] : fromFloat<T>(0.0f);
    }
  }
}

/// Writes a warp's sums as rows of a head, by way of `staging`, 16 rows of a tile that no other warp uses.
template <int kSize, typename T>
__device__ void storeSums(const Sums (&sums)[kSize / kPiece], T* staging, const HeadMatrix<T>& matrix,
                          const RowRange& range, int head, int headSize) {
  constexpr int kStride = TileLayout<T, kSize>::kStride;
  __syncwarp();
  unrolled<kSize / kPiece>([&](int piece) {
    unrolled<4>([&](int pair) {
      const int half = pair / 2, lower = pair % 2;
      const float* values = sums[piece][half] + lower * 2;
      T* to = staging + (laneIndex() / 4 + lower * 8) * kStride + columnOf(piece, half, 0);
      *reinterpret_cast<Pack<T, 2>*>(to) = {{fromFloat<T>(values[0]), fromFloat<T>(values[1])}};
    });
  });
  __syncwarp();
  const int64_t stride = matrix.rows.stride;
  T* to = matrix.rows.row(range.first) + head * headSize;
  if (matrix.aligned) {
    using Share = PackShare<T, kSize>;
    using Widest = Pack<T, kWidest<T>>;
    constexpr int kStep = kWarp / Share::kPacks;
    const Share mine(laneIndex());
    const int present = mine.column < headSize ? range.count : 0;
    const T* from = staging + mine.row * kStride + mine.column;
    to += mine.row * stride + mine.column;
    unrolled<kPiece / kStep>([&](int step) {
      const int row = step * kStep;
      if (mine.row + row >= present) return;
      *reinterpret_cast<Widest*>(to + row * stride) = *reinterpret_cast<const Widest*>(from + row * kStride);
    });
  } else {
    for (int row = 0; row < range.count; ++row) {
      for (int column = laneIndex(); column < headSize; column += kWarp) {
        to[row * stride + column] = staging[row * kStride + column];
      }
    }
  }
}

/// Calls body(count) with the number of pieces that have any of the first `columns` columns, one at least. It is a
/// constant: each number is compiled apart, and without branches in between, loads overlap with products.
template <int kPieces, typename Body>
__device__ void withNeededPieces(int columns, const Body& body) {
  if constexpr (kPieces > 1) {
    if (columns <= (kPieces - 1) * kPiece) return withNeededPieces<kPieces - 1>(columns, body);
  }
  body(std::integral_constant<int, kPieces>());
}

/// products = rows * tile': 16 rows of a left tile with the first `columns` rows of a right tile. Pieces of columns
/// behind those are left as they are.
template <typename Policy, int kSize, int kPieces>
__device__ void multiplyTransposed(Sums (&products)[kPieces], const typename Policy::Element* rows,
                                   const typename Policy::Element* tile, int columns) {
  constexpr int kStride = TileLayout<typename Policy::Element, kSize>::kStride;
  withNeededPieces<kPieces>(columns, [&](auto count) {
    constexpr int kCount = decltype(count)::value;
    unrolled<kCount>([&](int piece) { setZero(products[piece]); });
    unrolled<kSize / kPiece>([&](int step) {
      const int k = step * kPiece;
      const auto left = Policy::left(rows + k, kStride);
      unrolled<kCount>([&](int piece) {
        Policy::addTransposed(products[piece], left, tile + piece * kPiece * kStride + k, kStride);
      });
    });
  });
}

/// sums += weights * tile, with the first `columns` columns of the weights.
template <typename Policy, int kSize, int kPieces>
__device__ void multiplyAdd(Sums (&sums)[kSize / kPiece], const Sums (&weights)[kPieces],
                            const typename Policy::Element* tile, int columns) {
  constexpr int kStride = TileLayout<typename Policy::Element, kSize>::kStride;
  withNeededPieces<kPieces>(columns, [&](auto count) {
    unrolled<decltype(count)::value>([&](int piece) {
      const auto left = Policy::left(weights[piece]);
      unrolled<kSize / kPiece>([&](int step) {
        const int k = step * kPiece;
        Policy::addPlain(sums[step], left, tile + piece * kPiece * kStride + k, kStride);
      });
    });
  });
}

constexpr float kLog2E = 1.4426950408889634f;

/// e to the power of score - offset.
__device__ inline float weightOf(float score, float offset) { return powerOfTwo((score - offset) * kLog2E); }

/// The sum over the four lanes that share rows.
__device__ inline float sumOfRow(float value) {
  value += __shfl_xor_sync(kAllLanes, value, 1);
  return value + __shfl_xor_sync(kAllLanes, value, 2);
}

__device__ inline float maxOfRow(float value) {
  value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, 1));
  return fmaxf(value, __shfl_xor_sync(kAllLanes, value, 2));
}

template <typename Policy, int kSize>
struct KernelKind {
  using Products = Policy;
  static constexpr int kHeadSize = kSize;
};

/// Calls run(KernelKind) with the products and the smallest size of heads that fit.
template <typename T, typename Run>
void withKernelFor(int headSize, Products products, const Run& run) {
  const auto withSize = [&](auto policy) {
    using Policy = decltype(policy);
    if (headSize <= 32) {
      run(KernelKind<Policy, 32>{});
    } else if (headSize <= 64) {
      run(KernelKind<Policy, 64>{});
    } else if (headSize <= kLargestHead) {
      run(KernelKind<Policy, 128>{});
    } else {
      throw Error(ErrorCode::unsupported,
                  "attention on CUDA takes heads of up to " + std::to_string(kLargestHead) + " columns");
    }
  };
  if constexpr (!std::is_same_v<T, float>) {
    withSize(HalfProducts<T>{});
  } else if (products == Products::full) {
    withSize(FullProducts{});
  } else {
    withSize(Tf32Products{});
  }
}

}  // namespace espalier::cuda
