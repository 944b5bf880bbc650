#include "backend/adamw.h"

#include "backend/cpu/operations.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {
namespace {

/// A row of the gradient in f32, in this thread's scratch where it has to be converted.
const float* gradientRow(const Matrix& gradient, int64_t row) {
  if (gradient.dtype == DType::f32) return gradient.row<float>(row);
  const double* from = gradient.row<double>(row);
  float* to = threadScratch(static_cast<size_t>(gradient.cols));
  for (int64_t col = 0; col < gradient.cols; ++col) to[col] = static_cast<float>(from[col]);
  return to;
}

}  // namespace

void adamW(const AdamWArgs& args, int threads) {
  const AdamWFactors<float> factors(args);
  const int64_t cols = args.parameter.cols;
  forEachChunk(threads, args.parameter.rows, rowsPerChunk(cols), [&](int64_t first, int64_t rows) {
    for (int64_t row = first; row < first + rows; ++row) {
      cpuKernels().adamW({cols, args.parameter.row<float>(row), args.firstMoment.row<float>(row),
                          args.secondMoment.row<float>(row), gradientRow(args.gradient, row), factors.gradientScale,
                          factors.decay, factors.beta1, factors.share1, factors.beta2, factors.share2, factors.stepSize,
                          factors.rootFactor, factors.epsilon});
    }
  });
}

}  // namespace espalier::cpu
