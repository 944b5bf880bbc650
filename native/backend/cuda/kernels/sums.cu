// Sums down the columns: chunks of rows first, in parallel, then the chunks in order.

#include "backend/cuda/kernels/operations.h"
#include "backend/cuda/kernels/vectors.h"

namespace espalier::cuda {
namespace {

constexpr int64_t kChunkRows = 256;

/// Two numbers that a column is summed up for.
struct Terms {
  float first, second;
};

/// An element and its square.
template <typename T>
struct ElementTerms {
  RowsOf<const T> x;

  __device__ Terms at(int64_t row, int64_t column) const {
    const float value = toFloat(x.row(row)[column]);
    return {value, value * value};
  }
};

/// What a row adds to the gradients of gamma and beta.
template <typename T>
struct LayerNormTerms {
  RowsOf<const T> dy, x, statistics;

  __device__ Terms at(int64_t row, int64_t column) const {
    const float mean = toFloat(statistics.row(row)[0]), rstd = toFloat(statistics.row(row)[1]);
    const float gradient = toFloat(dy.row(row)[column]);
    return {gradient * ((toFloat(x.row(row)[column]) - mean) * rstd), gradient};
  }
};

/// firsts and seconds: [chunks, cols]. As on the other backends a chunk is summed in f32.
template <typename Source>
__global__ void chunkSumsKernel(Source source, int64_t rows, int64_t chunks, int64_t cols, float* firsts,
                                float* seconds) {
  const auto [chunk, column] = cellOf(cols, 1);
  if (chunk >= chunks) return;
  const int64_t begin = chunk * kChunkRows, end = begin + kChunkRows < rows ? begin + kChunkRows : rows;
  Terms sum = {0, 0};
  for (int64_t row = begin; row < end; ++row) {
    const Terms terms = source.at(row, column);
    sum.first += terms.first;
    sum.second += terms.second;
  }
  firsts[chunk * cols + column] = sum.first;
  seconds[chunk * cols + column] = sum.second;
}

__global__ void addChunksKernel(const float* chunkSums, int64_t chunks, int64_t cols, double* sums) {
  const auto [row, column] = cellOf(cols, 1);
  if (row >= 1) return;
  double sum = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += static_cast<double>(chunkSums[chunk * cols + column]);
  sums[column] += sum;
}

/// firsts and seconds += the sums over the rows, those of them that are given.
template <typename Source>
void addColumnSums(const Source& source, const Matrix& shape, const Matrix& firsts, const Matrix& seconds,
                   Runtime& runtime) {
  const Stream stream = runtime.stream();
  const int64_t rows = shape.rows, cols = shape.cols, chunks = (rows + kChunkRows - 1) / kChunkRows;
  const DeviceArray<float> parts(runtime, static_cast<size_t>(2 * chunks * cols) + 1);
  float* secondParts = parts.data() + chunks * cols;
  launch(chunkSumsKernel<Source>, blocksFor(cellsOf(chunks, cols, 1)), dim3(kThreads), 0, stream, source, rows, chunks,
         cols, parts.data(), secondParts);
  const auto add = [&](const float* from, const Matrix& to) {
    if (!to) return;
    launch(addChunksKernel, blocksFor(cols), dim3(kThreads), 0, stream, from, chunks, cols, to.row<double>(0));
  };
  add(parts.data(), firsts);
  add(secondParts, seconds);
}

}  // namespace

template <typename T>
void columnSums(const ColumnSumsArgs& args, Runtime& runtime) {
  addColumnSums(ElementTerms<T>{RowsOf<const T>(args.x)}, args.x, args.sums, args.squares, runtime);
}

template <typename T>
void addLayerNormParameterGradients(const LayerNormBackwardArgs& args, Runtime& runtime) {
  if (!args.dGamma && !args.dBeta) return;
  const LayerNormTerms<T> terms{RowsOf<const T>(args.dy), RowsOf<const T>(args.x), RowsOf<const T>(args.statistics)};
  addColumnSums(terms, args.x, args.dGamma, args.dBeta, runtime);
}

template void columnSums<float>(const ColumnSumsArgs&, Runtime&);
template void addLayerNormParameterGradients<float>(const LayerNormBackwardArgs&, Runtime&);

}  // namespace espalier::cuda
