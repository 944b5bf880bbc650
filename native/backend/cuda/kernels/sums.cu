// Sums down the columns: chunks of rows first, in parallel, then the chunks in order.

#include "backend/cuda/kernels/operations.h"
#include "backend/cuda/kernels/vectors.h"

namespace espalier::cuda {
namespace {

constexpr int64_t kChunkRows = 256;

/// sums and squares: [chunks, cols]. As on the other backends a chunk is summed in f32.
template <typename T>
__global__ void chunkSumsKernel(RowsOf<const T> x, int64_t rows, int64_t chunks, int64_t cols, float* sums,
                                float* squares) {
  const auto [chunk, column] = cellOf(cols, 1);
  if (chunk >= chunks) return;
  const int64_t first = chunk * kChunkRows, last = first + kChunkRows < rows ? first + kChunkRows : rows;
  float sum = 0, square = 0;
  for (int64_t row = first; row < last; ++row) {
    const float value = toFloat(x.row(row)[column]);
    sum += value;
    square += value * value;
  }
  sums[chunk * cols + column] = sum;
  squares[chunk * cols + column] = square;
}

__global__ void addChunksKernel(const float* chunkSums, int64_t chunks, int64_t cols, double* sums) {
  const auto [row, column] = cellOf(cols, 1);
  if (row >= 1) return;
  double sum = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += static_cast<double>(chunkSums[chunk * cols + column]);
  sums[column] += sum;
}

}  // namespace

template <typename T>
void columnSums(const ColumnSumsArgs& args, Runtime& runtime) {
  const Stream stream = runtime.stream();
  const int64_t cols = args.x.cols, chunks = (args.x.rows + kChunkRows - 1) / kChunkRows;
  const DeviceArray<float> parts(runtime, static_cast<size_t>(2 * chunks * cols) + 1);
  float* squares = parts.data() + chunks * cols;
  launch(chunkSumsKernel<T>, blocksFor(cellsOf(chunks, cols, 1)), dim3(kThreads), 0, stream, RowsOf<const T>(args.x),
         args.x.rows, chunks, cols, parts.data(), squares);
  const auto add = [&](const float* from, const Matrix& to) {
    launch(addChunksKernel, blocksFor(cols), dim3(kThreads), 0, stream, from, chunks, cols, to.row<double>(0));
  };
  add(parts.data(), args.sums);
  if (args.squares) add(squares, args.squares);
}

template void columnSums<float>(const ColumnSumsArgs&, Runtime&);

}  // namespace espalier::cuda
