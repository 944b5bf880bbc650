#pragma once

// A warp's products of small matrices, one interface over the ways to compute them. All work on pieces of 16 x 16: the
// left factor is a Left made of a tile in shared memory or of sums, the right factor is read from a tile, and the sums
// lie in the lanes' registers as tensor cores leave them (see mma.h). Rows of tiles are a multiple of 16 bytes apart
// such that eight of them meet different banks of shared memory.

#include <utility>

#include "backend/cuda/kernel.h"
#include "backend/cuda/kernels/vectors.h"
#include "backend/cuda/mma.h"

namespace espalier::cuda {

/// A lane's part of 16 x 16 sums: [half][i] is element i of the eight columns from 8 half on.
using Sums = float[2][4];

constexpr int kPiece = 16;

template <typename Body, int... kIndices>
__device__ void callWith(const Body& body, std::integer_sequence<int, kIndices...>) {
  (body(kIndices), ...);
}

/// Calls body(0) to body(kCount - 1), with no loop: arrays that the body indexes can stay in registers.
template <int kCount, typename Body>
__device__ void unrolled(const Body& body) {
  callWith(body, std::make_integer_sequence<int, kCount>());
}

/// Calls body(piece, half, i) for each of a lane's elements of pieces of sums that have any of the first `columns`
/// columns.
template <int kPieces, typename Body>
__device__ void forEachSum(int columns, const Body& body) {
  unrolled<kPieces>([&](int piece) {
    if (piece * kPiece >= columns) return;
    unrolled<8>([&](int element) { body(piece, element / 4, element % 4); });
  });
}

/// The column of a lane's element.
__device__ inline int columnOf(int piece, int half, int i) {
  return piece * kPiece + half * 8 + laneIndex() % 4 * 2 + i % 2;
}

__device__ inline void setZero(Sums& sums) {
  unrolled<8>([&](int element) { sums[element / 4][element % 4] = 0; });
}

template <int kPieces>
__device__ void setZero(Sums (&sums)[kPieces]) {
  unrolled<kPieces>([&](int piece) { setZero(sums[piece]); });
}

/// Multiplies a lane's two rows.
template <int kPieces>
__device__ void scaleRows(Sums (&sums)[kPieces], const float (&factors)[2]) {
  forEachSum<kPieces>(kPieces * kPiece, [&](int piece, int half, int i) { sums[piece][half][i] *= factors[i / 2]; });
}

template <int kPieces>
__device__ void scale(Sums (&sums)[kPieces], float factor) {
  scaleRows(sums, {factor, factor});
}

/// Products of 16-bit numbers on tensor cores.
template <typename T>
struct HalfProducts {
  using Element = T;

  struct Left {
    uint32_t registers[4];
  };

  /// The 16 x 16 elements from `tile` on.
  __device__ static Left left(const T* tile, int stride) {
    Left result;
    loadMatrices(result.registers, tile + laneIndex() % 16 * stride + laneIndex() / 16 * 8);
    return result;
  }

  __device__ static Left left(const Sums& sums) {
    return {{pairOf<T>(sums[0][0], sums[0][1]), pairOf<T>(sums[0][2], sums[0][3]), pairOf<T>(sums[1][0], sums[1][1]),
             pairOf<T>(sums[1][2], sums[1][3])}};
  }

  /// sums += left * tile', of the 16 x 16 elements from `tile` on.
  __device__ static void addTransposed(Sums& sums, const Left& left, const T* tile, int stride) {
    const int row = laneIndex() % 8 + laneIndex() / 16 * 8;
    uint32_t right[4];
    loadMatrices(right, tile + row * stride + laneIndex() / 8 % 2 * 8);
    add(sums, left, right);
  }

  /// sums += left * tile.
  __device__ static void addPlain(Sums& sums, const Left& left, const T* tile, int stride) {
    uint32_t right[4];
    loadTransposedMatrices(right, tile + laneIndex() % 16 * stride + laneIndex() / 16 * 8);
    add(sums, left, right);
  }

 private:
  __device__ static void add(Sums& sums, const Left& left, const uint32_t (&right)[4]) {
    multiplyAddPairs<T>(sums[0], left.registers, right[0], right[1]);
    multiplyAddPairs<T>(sums[1], left.registers, right[2], right[3]);
  }
};

/// Products of floats rounded to TF32, on tensor cores.
struct Tf32Products {
  using Element = float;

  /// Two factors of 16 x 8. Which column is which depends on where they come from, and the rows of the right factor
  /// follow: sums are neighbours in a lane where the tensor core wants columns four apart.
  struct LeftOfTile {
    uint32_t registers[2][4];
  };
  struct LeftOfSums {
    uint32_t registers[2][4];
  };

  __device__ static LeftOfTile left(const float* tile, int stride) {
    const float* mine = tile + laneIndex() / 4 * stride + laneIndex() % 4;
    LeftOfTile result;
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 4; ++i) {
        result.registers[half][i] = tf32Of(mine[i % 2 * 8 * stride + half * 8 + i / 2 * 4]);
      }
    }
    return result;
  }

  __device__ static LeftOfSums left(const Sums& sums) {
    LeftOfSums result;
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 4; ++i) result.registers[half][i] = tf32Of(sums[half][i % 2 * 2 + i / 2]);
    }
    return result;
  }

  __device__ static void addTransposed(Sums& sums, const LeftOfTile& left, const float* tile, int stride) {
    const float* mine = tile + laneIndex() / 4 * stride + laneIndex() % 4;
    for (int half = 0; half < 2; ++half) {
      for (int part = 0; part < 2; ++part) {
        const float* right = mine + half * 8 * stride + part * 8;
        multiplyAddTf32(sums[half], left.registers[part], tf32Of(right[0]), tf32Of(right[4]));
      }
    }
  }

  __device__ static void addPlain(Sums& sums, const LeftOfSums& left, const float* tile, int stride) {
    const float* mine = tile + laneIndex() % 4 * 2 * stride + laneIndex() / 4;
    for (int half = 0; half < 2; ++half) {
      for (int part = 0; part < 2; ++part) {
        const float* right = mine + part * 8 * stride + half * 8;
        multiplyAddTf32(sums[half], left.registers[part], tf32Of(right[0]), tf32Of(right[stride]));
      }
    }
  }
};

/// Products of floats, in full, without tensor cores.
struct FullProducts {
  using Element = float;

  /// This lane's two rows, which four lanes share.
  struct Left {
    float rows[2][kPiece];
  };

  __device__ static Left left(const float* tile, int stride) {
    Left result;
    for (int row = 0; row < 2; ++row) {
      const float* from = tile + (laneIndex() / 4 + row * 8) * stride;
      for (int k = 0; k < kPiece; k += 4) copyPack<4>(result.rows[row] + k, from + k);
    }
    return result;
  }

  __device__ static Left left(const Sums& sums) {
    const int first = laneIndex() / 4 * 4;
    Left result;
    for (int row = 0; row < 2; ++row) {
      for (int k = 0; k < kPiece; ++k) {
        result.rows[row][k] = __shfl_sync(kAllLanes, sums[k / 8][row * 2 + k % 2], first + k % 8 / 2);
      }
    }
    return result;
  }

  __device__ static void addTransposed(Sums& sums, const Left& left, const float* tile, int stride) {
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 2; ++i) {
        const float* from = tile + (half * 8 + laneIndex() % 4 * 2 + i) * stride;
        for (int k = 0; k < kPiece; k += 4) {
          float right[4];
          copyPack<4>(right, from + k);
          for (int j = 0; j < 4; ++j) {
            for (int row = 0; row < 2; ++row) sums[half][row * 2 + i] += left.rows[row][k + j] * right[j];
          }
        }
      }
    }
  }

  __device__ static void addPlain(Sums& sums, const Left& left, const float* tile, int stride) {
    for (int half = 0; half < 2; ++half) {
      for (int k = 0; k < kPiece; ++k) {
        float right[2];
        copyPack<2>(right, tile + k * stride + half * 8 + laneIndex() % 4 * 2);
        for (int i = 0; i < 4; ++i) sums[half][i] += left.rows[i / 2][k] * right[i % 2];
      }
    }
  }

 private:
  template <int kCount>
  __device__ static void copyPack(float* to, const float* from) {
    const Pack<float, kCount> pack = *reinterpret_cast<const Pack<float, kCount>*>(from);
    for (int i = 0; i < kCount; ++i) to[i] = pack.values[i];
  }
};

}  // namespace espalier::cuda
