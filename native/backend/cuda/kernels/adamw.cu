#include "backend/adamw.h"
#include "backend/cuda/kernels/operations.h"
#include "backend/cuda/kernels/vectors.h"

namespace espalier::cuda {
namespace {

/// A thread an element.
template <typename T, typename Gradient>
__global__ void adamWKernel(AdamWFactors<float> factors, RowsOf<const Gradient> gradients, int64_t rows, int64_t cols,
                            RowsOf<T> parameters, RowsOf<T> firstMoments, RowsOf<T> secondMoments) {
  const auto [row, column] = cellOf(cols, 1);
  if (row >= rows) return;
  const float gradient = factors.gradientScale * static_cast<float>(gradients.row(row)[column]);
  T &parameter = parameters.row(row)[column], &first = firstMoments.row(row)[column];
  T& second = secondMoments.row(row)[column];
  first = factors.beta1 * first + factors.share1 * gradient;
  second = factors.beta2 * second + factors.share2 * gradient * gradient;
  parameter =
      factors.decay * parameter - factors.stepSize * first / (sqrtf(second) * factors.rootFactor + factors.epsilon);
}

template <typename T, typename Gradient>
void launchAdamW(const AdamWArgs& args, Stream stream) {
  const int64_t rows = args.parameter.rows, cols = args.parameter.cols;
  launch(adamWKernel<T, Gradient>, blocksFor(cellsOf(rows, cols, 1)), dim3(kThreads), 0, stream,
         AdamWFactors<float>(args), RowsOf<const Gradient>(args.gradient), rows, cols, RowsOf<T>(args.parameter),
         RowsOf<T>(args.firstMoment), RowsOf<T>(args.secondMoment));
}

}  // namespace

template <typename T>
void adamW(const AdamWArgs& args, Stream stream) {
  args.gradient.dtype == DType::f64 ? launchAdamW<T, double>(args, stream) : launchAdamW<T, T>(args, stream);
}

template void adamW<float>(const AdamWArgs&, Stream);

}  // namespace espalier::cuda
