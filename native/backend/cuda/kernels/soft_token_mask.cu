// Soft token masks: a warp has a token.

#include <cmath>

#include "backend/cuda/kernels/operations.h"
#include "backend/cuda/kernels/sequences.h"
#include "backend/cuda/kernels/vectors.h"

namespace espalier::cuda {
namespace {

/// The tokens of a batch, and what their scores are divided by.
struct Sequences {
  const int32_t *offsets, *lengths;
  int32_t count;

  __device__ int32_t of(int64_t token) const { return sequenceOf(token, offsets, count); }
};

template <typename T, bool kAligned, int N = kWidest<T>>
__global__ void softTokenMaskKernel(RowsOf<const T> x, RowsOf<const float> scores, Sequences sequences, float threshold,
                                    float temperature, int64_t rows, int64_t cols, RowsOf<T> y, RowsOf<float> masks) {
  const auto [row, lane] = cellOf(kWarp, 1);
  if (row >= rows) return;
  const int32_t sequence = sequences.of(row);
  const float excess = *scores.row(row) / static_cast<float>(sequences.lengths[sequence]) - threshold;
  const float mask = row == sequences.offsets[sequence] ? 1.0f : 1 / (1 + expf(-excess / temperature));
  for (int64_t c = lane * N; c < cols; c += kWarp * N) {
    Floats<N> values = load<kAligned, T>(x.row(row) + c, cols - c);
    for (int i = 0; i < N; ++i) values[i] *= mask;
    store<kAligned>(y.row(row) + c, cols - c, values);
  }
  if (lane == 0) *masks.row(row) = mask;
}

/// lifts[row] = what lifting the threshold does to the objective through this token.
template <typename T, bool kAligned, int N = kWidest<T>>
__global__ void softTokenMaskBackwardKernel(RowsOf<const T> dy, RowsOf<const T> x, RowsOf<const float> masks,
                                            Sequences sequences, float temperature, float sparsity, int64_t rows,
                                            int64_t cols, RowsOf<T> dx, RowsOf<float> dScores, float* lifts) {
  const auto [row, lane] = cellOf(kWarp, 1);
  if (row >= rows) return;
  const float mask = *masks.row(row);
  float product = 0;
  for (int64_t c = lane * N; c < cols; c += kWarp * N) {
    Floats<N> gradient = load<kAligned, T>(dy.row(row) + c, cols - c);
    const Floats<N> values = load<kAligned, T>(x.row(row) + c, cols - c);
    for (int i = 0; i < N; ++i) {
      product += gradient[i] * values[i];
      gradient[i] *= mask;
    }
    store<kAligned>(dx.row(row) + c, cols - c, gradient);
  }
  product = warpSum(product);
  if (lane != 0) return;
  const float length = static_cast<float>(sequences.lengths[sequences.of(row)]);
  const float d = (product + sparsity / length) * mask * (1 - mask) / temperature;
  *dScores.row(row) = d / length;
  lifts[row] = -d;
}

}  // namespace

template <typename T>
void softTokenMask(const SoftTokenMaskArgs& args, Stream stream) {
  const auto start = [&](auto kernel) {
    launch(kernel, blocksFor(args.x.rows * kWarp), dim3(kThreads), 0, stream, RowsOf<const T>(args.x),
           RowsOf<const float>(args.scores), Sequences{args.offsets, args.lengths, args.sequences},
           static_cast<float>(args.threshold), static_cast<float>(args.temperature), args.x.rows, args.x.cols,
           RowsOf<T>(args.y), RowsOf<float>(args.masks));
  };
  startAligned({args.x, args.y}) ? start(softTokenMaskKernel<T, true>) : start(softTokenMaskKernel<T, false>);
}

template <typename T>
void softTokenMaskBackward(const SoftTokenMaskBackwardArgs& args, Runtime& runtime) {
  const int64_t tokens = args.x.rows;
  const DeviceArray<float> lifts(runtime, static_cast<size_t>(tokens) + 1);
  const auto start = [&](auto kernel) {
    launch(kernel, blocksFor(tokens * kWarp), dim3(kThreads), 0, runtime.stream(), RowsOf<const T>(args.dy),
           RowsOf<const T>(args.x), RowsOf<const float>(args.masks),
           Sequences{args.offsets, args.lengths, args.sequences}, static_cast<float>(args.temperature),
           static_cast<float>(args.sparsity), tokens, args.x.cols, RowsOf<T>(args.dx), RowsOf<float>(args.dScores),
           lifts.data());
  };
  startAligned({args.dy, args.x, args.dx}) ? start(softTokenMaskBackwardKernel<T, true>)
                                           : start(softTokenMaskBackwardKernel<T, false>);
  columnSums<float>({{lifts.data(), DType::f32, tokens, 1, 1}, args.dThreshold, {}}, runtime);
}

template void softTokenMask<float>(const SoftTokenMaskArgs&, Stream);
template void softTokenMaskBackward<float>(const SoftTokenMaskBackwardArgs&, Runtime&);

}  // namespace espalier::cuda
