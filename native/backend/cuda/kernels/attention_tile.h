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

  AttentionInputs(const AttentionArgs& args)
      : q(args.q, args.headSize),
        k(args.k, args.headSize),
        v(args.v, args.headSize),
        queryOffsets(args.queryOffsets),
        offsets(args.offsets),
        headMask(static_cast<const T*>(args.headMask)),
        heads(args.heads),
        headSize(args.headSize),
        scale(static_cast<float>(args.scale)) {}

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

/// How the work is cut: a block for each sequence, head and tile of rows, 16 rows a warp.
struct BlockPlan {
  int rows = 0;   // of a left tile
  int tiles = 0;  // blocks a head of a sequence
  int heads = 0;
  int stages = 1;     // right tiles at a time: one in use, one on its way
  int stageRows = 0;  // of a right tile

  BlockPlan(const AttentionArgs& args, int columns) : heads(args.heads) {
    const int pieces = (args.longest + kPiece - 1) / kPiece;
    if (pieces == 0) return;
    tiles = (pieces + kMostWarps - 1) / kMostWarps;
    rows = (pieces + tiles - 1) / tiles * kPiece;
    stages = args.longest > columns ? 2 : 1;
    stageRows = std::min(columns, pieces * kPiece);
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
    const unsigned index = blockIdx.x;
    firstRow = static_cast<int>(index % plan.tiles) * plan.rows;
    head = static_cast<int>(index / plan.tiles % plan.heads);
    sequence = static_cast<int>(index / plan.tiles / plan.heads);
  }
};

/// A tile's layout: rows of kSize elements, and 16 bytes that spread rows over the banks.
template <typename T, int kSize>
struct TileLayout {
  static constexpr int kStride = kSize + kWidest<T>;

  static constexpr size_t bytes(int rows) { return size_t{sizeof(T)} * rows * kStride; }
};

/// Starts copying a head's part of the rows of `range`, [count, headSize], into a tile. Zeros follow up to the next
/// multiple of 16 rows and up to kSize columns, so that nothing behind a sequence's end gets into products. What is not
/// aligned is copied at once, element by element.
template <int kSize, typename T>
__device__ void loadTile(T* tile, const HeadMatrix<const T>& matrix, const RowRange& range, int head, int headSize) {
  constexpr int kStride = TileLayout<T, kSize>::kStride;
  const int rows = (range.count + kPiece - 1) / kPiece * kPiece;
  const T* from = matrix.rows.row(range.first) + int64_t{head} * headSize;
  const int threads = static_cast<int>(blockDim.x);
  if (matrix.aligned) {
    constexpr int kPacks = kSize / kWidest<T>;
    for (int i = static_cast<int>(threadIdx.x); i < rows * kPacks; i += threads) {
      const int row = i / kPacks, column = i % kPacks * kWidest<T>;
      const bool inside = row < range.count && column < headSize;
      const T* source = inside ? from + row * matrix.rows.stride + column : matrix.rows.data;
      copyAsync16(tile + row * kStride + column, source, inside);
    }
  } else {
    for (int i = static_cast<int>(threadIdx.x); i < rows * kSize; i += threads) {
      const int row = i / kSize, column = i % kSize;
      const bool inside = row < range.count && column < headSize;
      tile[row * kStride + column] = inside ? from[row * matrix.rows.stride + column] : fromFloat<T>(0.0f);
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
  T* to = matrix.rows.row(range.first) + int64_t{head} * headSize;
  if (matrix.aligned) {
    constexpr int kPacks = kSize / kWidest<T>;
    using Widest = Pack<T, kWidest<T>>;
    for (int i = laneIndex(); i < range.count * kPacks; i += kWarp) {
      const int row = i / kPacks, column = i % kPacks * kWidest<T>;
      if (column < headSize) {
        *reinterpret_cast<Widest*>(to + row * matrix.rows.stride + column) =
            *reinterpret_cast<const Widest*>(staging + row * kStride + column);
      }
    }
  } else {
    for (int row = 0; row < range.count; ++row) {
      for (int column = laneIndex(); column < headSize; column += kWarp) {
        to[row * matrix.rows.stride + column] = staging[row * kStride + column];
      }
    }
  }
}

/// Calls body(needs) where needs(piece) says whether a piece has any of the first `columns` columns. For tensor cores
/// the case that all have is compiled apart: without branches in between, loads overlap with products.
template <typename Policy, int kPieces, typename Body>
__device__ void withNeededPieces(int columns, const Body& body) {
  if (Policy::kOnTensorCores && columns > (kPieces - 1) * kPiece) {
    body([](int) { return true; });
  } else {
    body([&](int piece) { return piece * kPiece < columns; });
  }
}

/// products = rows * tile': 16 rows of a left tile with the first `columns` rows of a right tile. Pieces of columns
/// behind those are left zero.
template <typename Policy, int kSize, int kPieces>
__device__ void multiplyTransposed(Sums (&products)[kPieces], const typename Policy::Element* rows,
                                   const typename Policy::Element* tile, int columns) {
  constexpr int kStride = TileLayout<typename Policy::Element, kSize>::kStride;
  setZero(products);
  withNeededPieces<Policy, kPieces>(columns, [&](const auto& needs) {
    unrolled<kSize / kPiece>([&](int step) {
      const int k = step * kPiece;
      const auto left = Policy::left(rows + k, kStride);
      unrolled<kPieces>([&](int piece) {
        if (needs(piece)) Policy::addTransposed(products[piece], left, tile + piece * kPiece * kStride + k, kStride);
      });
    });
  });
}

/// sums += weights * tile, with the first `columns` columns of the weights.
template <typename Policy, int kSize, int kPieces>
__device__ void multiplyAdd(Sums (&sums)[kSize / kPiece], const Sums (&weights)[kPieces],
                            const typename Policy::Element* tile, int columns) {
  constexpr int kStride = TileLayout<typename Policy::Element, kSize>::kStride;
  withNeededPieces<Policy, kPieces>(columns, [&](const auto& needs) {
    unrolled<kPieces>([&](int piece) {
      if (!needs(piece)) return;
      const auto left = Policy::left(weights[piece]);
      unrolled<kSize / kPiece>([&](int step) {
        const int k = step * kPiece;
        Policy::addPlain(sums[step], left, tile + piece * kPiece * kStride + k, kStride);
      });
    });
  });
}

/// e to the power of score - offset.
__device__ inline float weightOf(float score, float offset) {
  constexpr float kLog2E = 1.4426950408889634f;
  return powerOfTwo((score - offset) * kLog2E);
}

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
