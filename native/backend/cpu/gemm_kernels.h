#pragma once

// What the matrix products ask of an instruction set. Plain pointers and numbers: the files compiled for an instruction
// set must not instantiate inline functions of shared headers.
//
// A product c = a b is cut into tiles of `rows` x `cols` elements that fit the registers, and k into blocks of at most
// `depth`, summed in registers. A block of a is packed into panels of `rows` rows, one of b into panels of `cols`
// columns. The tiles of one panel of b lie one after another, each rows * cols floats.

#include <stdint.h>

#include "backend/cpu/kernels.h"
#include "backend/ops.h"

namespace espalier::cpu {

/// A panel of a or b in memory: byDepth holds, for each k, the elements of its rows (or columns); byRow is rows of k at
/// some stride, as matrices lie in memory.
enum class PanelLayout { byDepth, byRow };

/// The epilogue of linear() for the columns of one panel; everything begins at the block's first row and the panel's
/// first column. Absent parts are null.
struct PanelEpilogue {
  const float* bias;
  Rows preActivation;
  Activation activation;
  const float* columnMask;
  ConstRows residual;
  Rows y;
};

/// One block of k of a block of a times one panel of b.
struct PanelProduct {
  PanelLayout layout;  // of a
  int64_t rows;
  int64_t cols;  // of b's panel that exist
  int64_t depth;
  const float* a;
  int64_t aStride;  // of a's rows, byRow
  const float* b;
  const float* nextB;             // the panel of b that is wanted afterwards
  bool accumulate;                // to what earlier blocks of k left in tiles or sums, which then are given
  float* tiles;                   // receives the sum; may be null where one of the next two is given
  double* sums;                   // receives the sum in place of tiles, laid out like them
  const PanelEpilogue* epilogue;  // given with the last block of k: makes y of the sum
};

struct GemmKernels {
  int rows, cols, depth;
  void (*multiply)(const PanelProduct&);
  /// Packs `depth` rows of `count` floats, `stride` apart, into byDepth panels of `rows` (a) or `cols` (b) columns. The
  /// last panel is filled up with zeros.
  void (*packA)(const float* from, int64_t stride, int64_t count, int64_t depth, float* to);
  void (*packB)(const float* from, int64_t stride, int64_t count, int64_t depth, float* to);
};

/// The table of activeIsa().
const GemmKernels& gemmKernels();

const GemmKernels* portableGemmKernels();
const GemmKernels* avx2GemmKernels();    // x86-64 only
const GemmKernels* avx512GemmKernels();  // x86-64 only

}  // namespace espalier::cpu
