#pragma once

#include <math.h>

#include "backend/cpu/attention_head.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd_math.h"
#include "backend/cpu/tile_product.h"

namespace espalier {
namespace {

/// scores[j][i] = exp(scores[j][i] - maxima[i]) with the maximum of each column; sums[i] adds column i up.
inline void softmaxColumns(int keys, int lanes, Rows scores, float* maxima, float* sums) {
  for (int lane = 0; lane < lanes; lane += Vec::kWidth) {
    float* column = scores.data + lane;
    Vec maximum = Vec::load(column);
    for (int j = 1; j < keys; ++j) maximum = max(maximum, Vec::load(column + j * scores.stride));
    Vec total = Vec::zero();
    for (int j = 0; j < keys; ++j) {
      const Vec weight = exp(Vec::load(column + j * scores.stride) - maximum);
      weight.store(column + j * scores.stride);
      total = total + weight;
    }
    maximum.store(maxima + lane);
    total.store(sums + lane);
  }
}

/// columnSums[j] = sum over the first `queries` columns i of weights[j][i] / sums[i].
inline void sumWeights(int keys, int queries, int lanes, ConstRows weights, const float* sums, float* columnSums) {
  float inverses[kQueryBlock];
  for (int i = 0; i < lanes; ++i) inverses[i] = i < queries ? 1.0f / sums[i] : 0.0f;
  for (int j = 0; j < keys; ++j) {
    Vec total = Vec::zero();
    for (int lane = 0; lane < lanes; lane += Vec::kWidth) {
      total = fma(Vec::load(weights.data + j * weights.stride + lane), Vec::load(inverses + lane), total);
    }
    columnSums[j] = sum(total);
  }
}

/// Scores are kept transposed, a row a key and a lane a query: the softmax runs down the rows without any horizontal
/// step, K and V are used as they lie, and only the block of queries is transposed.
void attentionKernel(const AttentionKernelArgs& args, float* scratch) {
  Scratch memory{scratch};
  const Rows queries = memory.rows(args.headSize, kScoreStride);
  const Rows scores = memory.rows(args.keys, kScoreStride);
  const Rows values = memory.rows(args.keys, args.headStride);
  const Rows context = memory.rows(kQueryBlock, args.headStride);
  float maxima[kQueryBlock], sums[kQueryBlock];

  const int lanes = lanesFor(args.queries);
  transposeHead(args.queries, lanes, args.headSize, args.scale, args.q, queries);
  productOfHead(args.keys, lanes, args.headSize, args.k, constant(queries), scores, args.v);
  softmaxColumns(args.keys, lanes, scores, maxima, sums);
  if (args.columnSums != nullptr) {
    sumWeights(args.keys, args.queries, lanes, constant(scores), sums, args.columnSums);
  }
  if (args.droppedOut.any) dropOut(args.keys, lanes, args.droppedOut, 0, constant(scores), scores);
  copyHead(args.keys, args.headSize, args.v, values);
  product<Left::columns>(args.queries, args.headStride, args.keys, constant(scores), constant(values), context);

  for (int i = 0; i < args.queries; ++i) {
    writeHeadRow(context.data + i * context.stride, args.headMask / sums[i], args.headSize,
                 args.context.data + i * args.context.stride);
    if (args.logSumExp.data != nullptr) args.logSumExp.data[i * args.logSumExp.stride] = maxima[i] + logf(sums[i]);
  }
}

}  // namespace
}  // namespace espalier
