// Rows in parallel. What is left, a few operations a token, is done on one thread in the order of the tokens.

#include <cmath>

#include "backend/cpu/operations.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {
namespace {

/// to = factor * from, which may be the same row.
void scale(const float* from, float factor, int64_t cols, float* to) {
  for (int64_t col = 0; col < cols; ++col) to[col] = factor * from[col];
}

/// As several sums, which a processor can add to at once.
float dotProduct(const float* a, const float* b, int64_t count) {
  constexpr int64_t kSums = 16;
  float sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (int64_t lane = 0; lane < kSums; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < count; ++i) sums[i % kSums] += a[i] * b[i];
  float total = 0;
  for (float sum : sums) total += sum;
  return total;
}

}  // namespace

void softTokenMask(const SoftTokenMaskArgs& args, int threads) {
  const float threshold = static_cast<float>(args.threshold), temperature = static_cast<float>(args.temperature);
  for (int32_t sequence = 0; sequence < args.sequences; ++sequence) {
    const int32_t first = args.offsets[sequence], end = args.offsets[sequence + 1];
    const float length = static_cast<float>(args.lengths[sequence]);
    for (int32_t token = first; token < end; ++token) {
      const float excess = *args.scores.row<float>(token) / length - threshold;
      *args.masks.row<float>(token) = token == first ? 1.0f : 1 / (1 + std::exp(-excess / temperature));
    }
  }
  const int64_t cols = args.x.cols;
  forEachChunk(threads, args.x.rows, rowsPerChunk(cols), [&](int64_t first, int64_t rows) {
    for (int64_t row = first; row < first + rows; ++row) {
      scale(args.x.row<float>(row), *args.masks.row<float>(row), cols, args.y.row<float>(row));
    }
  });
}

void softTokenMaskBackward(const SoftTokenMaskBackwardArgs& args, int threads) {
  const int64_t cols = args.x.cols;
  forEachChunk(threads, args.x.rows, rowsPerChunk(cols), [&](int64_t first, int64_t rows) {
    for (int64_t row = first; row < first + rows; ++row) {
      const float* dy = args.dy.row<float>(row);
      *args.dScores.row<float>(row) = dotProduct(dy, args.x.row<float>(row), cols);
      scale(dy, *args.masks.row<float>(row), cols, args.dx.row<float>(row));
    }
  });
  const float temperature = static_cast<float>(args.temperature), sparsity = static_cast<float>(args.sparsity);
  double total = 0;
  for (int32_t sequence = 0; sequence < args.sequences; ++sequence) {
    const float length = static_cast<float>(args.lengths[sequence]);
    for (int32_t token = args.offsets[sequence]; token < args.offsets[sequence + 1]; ++token) {
      float& dScore = *args.dScores.row<float>(token);
      const float mask = *args.masks.row<float>(token), dMask = dScore + sparsity / length;
      const float d = dMask * mask * (1 - mask) / temperature;
      dScore = d / length;
      total += static_cast<double>(d);
    }
  }
  *args.dThreshold.row<double>(0) -= total;
}

}  // namespace espalier::cpu
