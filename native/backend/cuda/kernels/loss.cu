// Losses of one sequence each, by one warp.

#include "backend/cuda/kernels/operations.h"
#include "backend/cuda/kernels/vectors.h"

namespace espalier::cuda {
namespace {

/// `count` logits, `stride` elements apart.
template <typename T>
struct Column {
  T* data;
  int64_t stride;

  __device__ T& operator[](int64_t index) const { return data[index * stride]; }
};

/// log(sum(exp(logits))) - logits[label]; the gradient is `share` of softmax - onehot(label).
template <typename T>
__device__ float crossEntropy(Column<const T> logits, int64_t count, int32_t label, float share, Column<T> dLogits) {
  const int64_t lane = threadIdx.x;
  float largest = -INFINITY;
  for (int64_t i = lane; i < count; i += kWarp) largest = fmaxf(largest, toFloat(logits[i]));
  largest = warpMax(largest);
  float sum = 0;
  for (int64_t i = lane; i < count; i += kWarp) sum += expf(toFloat(logits[i]) - largest);
  sum = warpSum(sum);
  for (int64_t i = lane; i < count; i += kWarp) {
    const float probability = expf(toFloat(logits[i]) - largest) / sum;
    dLogits[i] = fromFloat<T>(share * (probability - (i == label ? 1.0f : 0.0f)));
  }
  return logf(sum) + largest - toFloat(logits[label]);
}

template <typename T>
__global__ void lossKernel(LossKind kind, RowsOf<const T> logits, int64_t cols, const void* labels, RowsOf<T> losses,
                           RowsOf<T> dLogits, const int32_t* offsets) {
  const int64_t s = blockIdx.x;
  float loss = 0;
  if (kind == LossKind::crossEntropy) {
    const int32_t label = static_cast<const int32_t*>(labels)[s];
    loss = crossEntropy<T>({logits.row(s), 1}, cols, label, 1, {dLogits.row(s), 1});
  } else if (kind == LossKind::meanSquared) {
    const float difference = toFloat(*logits.row(s)) - toFloat(static_cast<const T*>(labels)[s]);
    loss = difference * difference;
    if (threadIdx.x == 0) *dLogits.row(s) = fromFloat<T>(2 * difference);
  } else {
    const int64_t first = offsets[s], tokens = offsets[s + 1] - first;
    for (int end = 0; end < 2; ++end) {
      const int32_t label = static_cast<const int32_t*>(labels)[2 * s + end];
      loss += 0.5f * crossEntropy<T>({logits.row(first) + end, logits.stride}, tokens, label, 0.5f,
                                     {dLogits.row(first) + end, dLogits.stride});
    }
  }
  if (threadIdx.x == 0) *losses.row(s) = fromFloat<T>(loss);
}

}  // namespace

template <typename T>
void loss(const LossArgs& args, Stream stream) {
  launch(lossKernel<T>, dim3(static_cast<unsigned>(args.losses.rows)), dim3(kWarp), 0, stream, args.kind,
         RowsOf<const T>(args.logits), args.logits.cols, args.labels, RowsOf<T>(args.losses), RowsOf<T>(args.dLogits),
         args.offsets);
}

template void loss<float>(const LossArgs&, Stream);

}  // namespace espalier::cuda
