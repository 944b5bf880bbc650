#pragma once

#include "backend/cpu/attention_head.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd_math.h"
#include "backend/cpu/tile_product.h"

namespace espalier {
namespace {

/// With P = softmax(scale * q k') and D = dContext v', times dropout's factors, before the mask, all transposed (a row
/// a key, a lane a query): turns the scores in `weights` into P by logSumExp and sets delta_i = sum_j P_ij D_ij, which
/// is dContext_i . (unmasked context)_i.
inline void weightsAndDeltas(int keys, int lanes, const float* logSumExp, Rows weights, ConstRows weightGradients,
                             float* deltas) {
  for (int lane = 0; lane < lanes; lane += Vec::kWidth) {
    const Vec shift = Vec::load(logSumExp + lane);
    Vec delta = Vec::zero();
    for (int j = 0; j < keys; ++j) {
      float* weight = weights.data + j * weights.stride + lane;
      const Vec probability = exp(Vec::load(weight) - shift);
      probability.store(weight);
      delta = fma(probability, Vec::load(weightGradients.data + j * weightGradients.stride + lane), delta);
    }
    delta.store(deltas + lane);
  }
}

/// With the gradient c of the weights' sums over the queries: D_ij becomes mask * D_ij + c_j in place, and deltas
/// follow.
inline void addColumnGradients(int keys, int lanes, float mask, ConstRows c, ConstRows weights, Rows weightGradients,
                               float* deltas) {
  const Vec masks = Vec::broadcast(mask);
  for (int lane = 0; lane < lanes; lane += Vec::kWidth) {
    Vec delta = Vec::load(deltas + lane) * masks;
    for (int j = 0; j < keys; ++j) {
      const Vec added = Vec::broadcast(c.data[j * c.stride]);
      float* gradient = weightGradients.data + j * weightGradients.stride + lane;
      fma(Vec::load(gradient), masks, added).store(gradient);
      delta = fma(Vec::load(weights.data + j * weights.stride + lane), added, delta);
    }
    delta.store(deltas + lane);
  }
}

/// The softmax's backward: gradients[j][i] = P_ij * (D_ij - delta_i), in place.
inline void scoreGradients(int keys, int lanes, ConstRows weights, const float* deltas, Rows gradients) {
  for (int j = 0; j < keys; ++j) {
    const float* weight = weights.data + j * weights.stride;
    float* gradient = gradients.data + j * gradients.stride;
    for (int lane = 0; lane < lanes; lane += Vec::kWidth) {
      (Vec::load(weight + lane) * (Vec::load(gradient + lane) - Vec::load(deltas + lane))).store(gradient + lane);
    }
  }
}

inline void clear(int rows, Rows values) {
  for (int64_t i = 0; i < rows * values.stride; i += Vec::kWidth) Vec::zero().store(values.data + i);
}

inline void writeHead(int rows, int headSize, ConstRows from, float factor, Rows to) {
  for (int i = 0; i < rows; ++i) {
    writeHeadRow(from.data + i * from.stride, factor, headSize, to.data + i * to.stride);
  }
}

/// One block of queries after another; the gradients of k and v gather in scratch over the blocks.
void attentionBackwardKernel(const AttentionBackwardKernelArgs& args, float* scratch) {
  const int keys = args.keys, headSize = args.headSize, padded = args.headStride;
  const bool flows = args.dq.data != nullptr;
  // What scores' gradients have yet to be multiplied by: the mask, unless columns' gradients had to be added behind it.
  const float scoreFactor = args.dColumnSums.data != nullptr ? args.scale : args.headMask * args.scale;
  Scratch memory{scratch};
  const Rows queriesTransposed = memory.rows(headSize, kScoreStride);
  const Rows gradientsTransposed = memory.rows(headSize, kScoreStride);
  const Rows weights = memory.rows(keys, kScoreStride);
  const Rows scores = memory.rows(keys, kScoreStride);
  // What weighs v.
  const Rows weightsLeft = args.droppedOut.any ? memory.rows(keys, kScoreStride) : weights;
  const Rows queries = memory.rows(kQueryBlock, padded);
  const Rows gradients = memory.rows(kQueryBlock, padded);
  const Rows dq = memory.rows(kQueryBlock, padded);
  const Rows keyRows = memory.rows(keys, padded);
  const Rows dk = memory.rows(keys, padded);
  const Rows dv = memory.rows(keys, padded);
  float logSumExp[kQueryBlock], deltas[kQueryBlock];
  if (flows) {
    copyHead(keys, headSize, args.k, keyRows);
    clear(keys, dk);
    clear(keys, dv);
  }

  Vec maskGradient = Vec::zero();
  for (int first = 0; first < args.queries; first += kQueryBlock) {
    const int count = args.queries - first < kQueryBlock ? args.queries - first : kQueryBlock;
    const int lanes = lanesFor(count);
    const ConstRows q = {args.q.data + first * args.q.stride, args.q.stride};
    const ConstRows dContext = {args.dContext.data + first * args.dContext.stride, args.dContext.stride};
    for (int i = 0; i < lanes; ++i) {
      logSumExp[i] = i < count ? args.logSumExp.data[(first + i) * args.logSumExp.stride] : 0.0f;
    }

    transposeHead(count, lanes, headSize, args.scale, q, queriesTransposed);
    transposeHead(count, lanes, headSize, 1.0f, dContext, gradientsTransposed);
    productOfHead(keys, lanes, headSize, args.k, constant(queriesTransposed), weights, args.v);
    product<Left::rows>(keys, lanes, headSize, args.v, constant(gradientsTransposed), scores);
    if (args.droppedOut.any) dropOut(keys, lanes, args.droppedOut, first, constant(scores), scores);
    weightsAndDeltas(keys, lanes, logSumExp, weights, constant(scores), deltas);
    for (int lane = 0; lane < lanes; lane += Vec::kWidth) maskGradient = maskGradient + Vec::load(deltas + lane);
    if (!flows) continue;

    if (args.dColumnSums.data != nullptr) {
      addColumnGradients(keys, lanes, args.headMask, args.dColumnSums, constant(weights), scores, deltas);
    }
    if (args.droppedOut.any) dropOut(keys, lanes, args.droppedOut, first, constant(weights), weightsLeft);
    copyHead(count, headSize, dContext, gradients);
    product<Left::rows>(keys, padded, count, constant(weightsLeft), constant(gradients), dv, true);
    scoreGradients(keys, lanes, constant(weights), deltas, scores);
    copyHead(count, headSize, q, queries);
    product<Left::rows>(keys, padded, count, constant(scores), constant(queries), dk, true);
    product<Left::columns>(count, padded, keys, constant(scores), constant(keyRows), dq);
    writeHead(count, headSize, constant(dq), scoreFactor, {args.dq.data + first * args.dq.stride, args.dq.stride});
  }
  if (flows) {
    writeHead(keys, headSize, constant(dk), scoreFactor, args.dk);
    writeHead(keys, headSize, constant(dv), args.headMask, args.dv);
  }
  *args.headMaskGradient = sum(maskGradient);
}

}  // namespace
}  // namespace espalier
