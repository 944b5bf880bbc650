#pragma once

// The vectorised inner parts of the operations, one table per instruction set. Arguments are plain pointers: the files
// compiled for an instruction set must not instantiate inline functions of shared headers.

#include <stddef.h>
#include <stdint.h>

#include "backend/dropout.h"

namespace espalier {

/// Rows of floats, `stride` apart.
struct ConstRows {
  const float* data = nullptr;
  int64_t stride = 0;
};
struct Rows {
  float* data = nullptr;
  int64_t stride = 0;
};

struct LayerNormKernelArgs {
  int64_t rows, cols;
  ConstRows x;
  const float* gamma;
  const float* beta;
  float epsilon;
  Rows y;
  Rows statistics;  // data may be null
};

struct LayerNormBackwardKernelArgs {
  int64_t rows, cols;
  ConstRows dy, x, statistics;
  const float* gamma;
  Rows dx;
};

/// A block of columns of the rows of one sequence; pointers are at its first element.
struct ActivationBackwardKernelArgs {
  int64_t rows, cols;
  Activation activation;
  ConstRows dy, preActivation;
  const float* columnMask;  // may be null
  Rows dx;                  // data may be null
  float* maskSums;          // [cols], overwritten; may be null
};

/// Queries an attention kernel works on at once, and the floats between the rows of its blocks: an odd number of cache
/// lines, so that a column of a block does not fall into few sets of the cache.
constexpr int kQueryBlock = 64;
constexpr int kScoreStride = kQueryBlock + 16;

/// Which probabilities of a head are dropped out: elements numbered from the first query's first key on.
struct DroppedOut {
  DropoutFactors<float> factors;
  uint32_t first, queryStep;
  bool any;
};

/// What attention's forward and backward share: one head of one sequence and some of its queries; pointers are at the
/// head's first column.
struct AttentionHead {
  int queries, keys, headSize;
  int headStride;  // of a head's rows in scratch: at least headSize, a multiple of every vector width
  ConstRows q, k, v;
  float scale, headMask;
  DroppedOut droppedOut;
};

/// At most kQueryBlock queries.
struct AttentionKernelArgs : AttentionHead {
  Rows context;
  Rows logSumExp;     // a column; data may be null
  float* columnSums;  // [keys], overwritten with the sums over these queries; may be null
};

/// All queries of the sequence.
struct AttentionBackwardKernelArgs : AttentionHead {
  ConstRows dContext;
  ConstRows logSumExp;      // a column
  ConstRows dColumnSums;    // a column; data may be null
  Rows dq, dk, dv;          // data null together: only the mask's gradient
  float* headMaskGradient;  // one float, overwritten
};

/// A row of parameters; the factors are those of AdamWFactors.
struct AdamWKernelArgs {
  int64_t cols;
  float *parameter, *firstMoment, *secondMoment;
  const float* gradient;
  float gradientScale, decay, beta1, share1, beta2, share2, stepSize, rootFactor, epsilon;
};

struct CpuKernels {
  void (*layerNorm)(const LayerNormKernelArgs&);
  void (*layerNormBackward)(const LayerNormBackwardKernelArgs&);
  void (*activationBackward)(const ActivationBackwardKernelArgs&);
  void (*attention)(const AttentionKernelArgs&, float* scratch);
  void (*attentionBackward)(const AttentionBackwardKernelArgs&, float* scratch);
  void (*adamW)(const AdamWKernelArgs&);
};

/// The table of activeIsa().
const CpuKernels& cpuKernels();

const CpuKernels* portableKernels();
const CpuKernels* avx2Kernels();    // x86-64 only
const CpuKernels* avx512Kernels();  // x86-64 only

}  // namespace espalier
