// Gradients of embedding tables: a block sums the rows that took one entry, for a warp's width of columns. Its warps
// share the rows out, and their sums are added in order.

#include "backend/cuda/kernels/operations.h"
#include "backend/cuda/kernels/vectors.h"

namespace espalier::cuda {
namespace {

constexpr int kRowsAtOnce = 8;

template <typename T>
__global__ void embedBackwardKernel(RowsOf<const T> dy, const int32_t* rows, const int32_t* offsets, const int32_t* ids,
                                    int64_t cols, RowsOf<T> gradient) {
  const int64_t tiles = (cols + kWarp - 1) / kWarp;
  const int64_t entry = blockIdx.x / tiles, column = blockIdx.x % tiles * kWarp + threadIdx.x;
  float sum = 0;
  if (column < cols) {
    for (int32_t i = offsets[entry] + static_cast<int32_t>(threadIdx.y); i < offsets[entry + 1]; i += kRowsAtOnce) {
      sum += toFloat(dy.row(rows[i])[column]);
    }
  }
  float* sums = reinterpret_cast<float*>(sharedMemory());
  sums[threadIdx.y * kWarp + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= cols) return;
  for (int other = 1; other < kRowsAtOnce; ++other) sum += sums[other * kWarp + static_cast<int>(threadIdx.x)];
  T& target = gradient.row(ids[entry])[column];
  target = fromFloat<T>(toFloat(target) + sum);
}

}  // namespace

template <typename T>
void embedBackward(const EmbedBackwardArgs& args, Stream stream) {
  const int64_t tiles = (args.dy.cols + kWarp - 1) / kWarp;
  launch(embedBackwardKernel<T>, dim3(static_cast<unsigned>(args.entries * tiles)), dim3(kWarp, kRowsAtOnce),
         kWarp * kRowsAtOnce * sizeof(float), stream, RowsOf<const T>(args.dy), args.rows, args.offsets, args.ids,
         args.dy.cols, RowsOf<T>(args.gradient));
}

template void embedBackward<float>(const EmbedBackwardArgs&, Stream);

}  // namespace espalier::cuda
