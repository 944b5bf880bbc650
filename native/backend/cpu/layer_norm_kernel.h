#pragma once

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd_rows.h"

namespace espalier {
namespace {

/// Two passes over a row that is in the first-level cache: the variance of centred values does not cancel.
void layerNormKernel(const LayerNormKernelArgs& args) {
  const float perColumn = 1.0f / static_cast<float>(args.cols);
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* x = args.x.data + row * args.x.stride;
    float* y = args.y.data + row * args.y.stride;

    Vec total = Vec::zero();
    forEachVector(args.cols, [&](int64_t col, int lanes) { total = total + loadLanes(x + col, lanes); });
    const float mean = sum(total) * perColumn;

    const Vec means = Vec::broadcast(mean);
    Vec squares = Vec::zero();
    forEachVector(args.cols, [&](int64_t col, int lanes) {
      const Vec centred = firstLanes(loadLanes(x + col, lanes) - means, lanes);
      squares = fma(centred, centred, squares);
    });
    const float rstd = 1.0f / __builtin_sqrtf(sum(squares) * perColumn + args.epsilon);

    const Vec rstds = Vec::broadcast(rstd);
    forEachVector(args.cols, [&](int64_t col, int lanes) {
      const Vec normal = (loadLanes(x + col, lanes) - means) * rstds;
      storeLanes(fma(normal, loadLanes(args.gamma + col, lanes), loadLanes(args.beta + col, lanes)), y + col, lanes);
    });
    if (args.statistics.data != nullptr) {
      args.statistics.data[row * args.statistics.stride] = mean;
      args.statistics.data[row * args.statistics.stride + 1] = rstd;
    }
  }
}

/// dx = rstd * (g - mean(g) - n * mean(g * n)) with g = dy * gamma and n = (x - mean) * rstd.
void layerNormBackwardKernel(const LayerNormBackwardKernelArgs& args) {
  const float perColumn = 1.0f / static_cast<float>(args.cols);
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* dy = args.dy.data + row * args.dy.stride;
    const float* x = args.x.data + row * args.x.stride;
    float* dx = args.dx.data + row * args.dx.stride;
    const float* statistics = args.statistics.data + row * args.statistics.stride;
    const Vec means = Vec::broadcast(statistics[0]), rstds = Vec::broadcast(statistics[1]);

    Vec total = Vec::zero(), weighted = Vec::zero();
    forEachVector(args.cols, [&](int64_t col, int lanes) {
      const Vec g = loadLanes(dy + col, lanes) * loadLanes(args.gamma + col, lanes);
      total = total + g;
      weighted = fma(g, (loadLanes(x + col, lanes) - means) * rstds, weighted);
    });
    const Vec totals = Vec::broadcast(sum(total) * perColumn), weights = Vec::broadcast(sum(weighted) * perColumn);

    forEachVector(args.cols, [&](int64_t col, int lanes) {
      const Vec g = loadLanes(dy + col, lanes) * loadLanes(args.gamma + col, lanes);
      const Vec normal = (loadLanes(x + col, lanes) - means) * rstds;
      storeLanes(rstds * fnma(normal, weights, g - totals), dx + col, lanes);
    });
  }
}

}  // namespace
}  // namespace espalier
