// Operations on matrices element by element: a thread has a pack of neighbouring columns of one row.

#include "backend/cuda/kernels/activations.h"
#include "backend/cuda/kernels/operations.h"
#include "backend/cuda/kernels/vectors.h"
#include "backend/dropout.h"

namespace espalier::cuda {
namespace {

template <typename T, bool kAligned, int N = kWidest<T>>
__global__ void epilogueKernel(RowsOf<const T> x, const T* bias, Activation activation, const T* columnMask,
                               RowsOf<const T> residual, int64_t rows, int64_t cols, RowsOf<T> y) {
  const auto [row, column] = cellOf(cols, N);
  if (row >= rows) return;
  const int64_t count = cols - column;
  Floats<N> values = {};
  if (x.data) values = load<kAligned, T>(x.row(row) + column, count);
  if (bias) {
    const Floats<N> shift = load<kAligned, T>(bias + column, count);
    for (int i = 0; i < N; ++i) values[i] += shift[i];
  }
  for (int i = 0; i < N; ++i) values[i] = activate(activation, values[i]);
  if (columnMask) {
    const Floats<N> mask = load<kAligned, T>(columnMask + column, count);
    for (int i = 0; i < N; ++i) values[i] *= mask[i];
  }
  if (residual.data) {
    const Floats<N> added = load<kAligned, T>(residual.row(row) + column, count);
    for (int i = 0; i < N; ++i) values[i] += added[i];
  }
  store<kAligned>(y.row(row) + column, count, values);
}

template <typename T>
void launchEpilogue(const Matrix& x, const Epilogue& epilogue, const Matrix& y, Stream stream) {
  const auto start = [&](auto kernel) {
    const auto* bias = static_cast<const T*>(epilogue.bias);
    const auto* mask = static_cast<const T*>(epilogue.columnMask);
    launch(kernel, blocksFor(cellsOf(y.rows, y.cols, kWidest<T>)), dim3(kThreads), 0, stream, RowsOf<const T>(x), bias,
           epilogue.activation, mask, RowsOf<const T>(epilogue.residual), y.rows, y.cols, RowsOf<T>(y));
  };
  const bool aligned =
      startAligned({x, epilogue.residual, y}) && startAligned(epilogue.bias) && startAligned(epilogue.columnMask);
  aligned ? start(epilogueKernel<T, true>) : start(epilogueKernel<T, false>);
}

/// Each thread walks down the rows of one sequence: dx of its columns, and their sums for the mask's gradient.
template <typename T, bool kAligned, int N = kWidest<T>>
__global__ void activationBackwardKernel(RowsOf<const T> dy, RowsOf<const T> preActivation, Activation activation,
                                         const T* columnMask, const int32_t* offsets, int32_t sequences, int64_t cols,
                                         RowsOf<T> dx, float* sums) {
  const auto [sequence, column] = cellOf(cols, N);
  if (sequence >= sequences) return;
  const int64_t count = cols - column;
  Floats<N> mask;
  for (int i = 0; i < N; ++i) mask[i] = 1;
  if (columnMask) mask = load<kAligned, T>(columnMask + column, count);
  Floats<N> sum = {};
  for (int32_t row = offsets[sequence]; row < offsets[sequence + 1]; ++row) {
    const Floats<N> x = load<kAligned, T>(preActivation.row(row) + column, count);
    Floats<N> gradient = load<kAligned, T>(dy.row(row) + column, count);
    for (int i = 0; i < N; ++i) {
      const auto [value, slope] = activateWithSlope(activation, x[i]);
      sum[i] += gradient[i] * value;
      gradient[i] *= mask[i] * slope;
    }
    if (dx.data) store<kAligned>(dx.row(row) + column, count, gradient);
  }
  for (int i = 0; i < N && i < count; ++i) sums[sequence * cols + column + i] = sum[i];
}

/// The same without sums: rows in any order.
template <typename T, bool kAligned, int N = kWidest<T>>
__global__ void activationSlopeKernel(RowsOf<const T> dy, RowsOf<const T> preActivation, Activation activation,
                                      const T* columnMask, int64_t rows, int64_t cols, RowsOf<T> dx) {
  const auto [row, column] = cellOf(cols, N);
  if (row >= rows) return;
  const int64_t count = cols - column;
  const Floats<N> x = load<kAligned, T>(preActivation.row(row) + column, count);
  Floats<N> gradient = load<kAligned, T>(dy.row(row) + column, count);
  Floats<N> mask = {};
  if (columnMask) mask = load<kAligned, T>(columnMask + column, count);
  for (int i = 0; i < N; ++i) gradient[i] *= (columnMask ? mask[i] : 1.0f) * activateWithSlope(activation, x[i]).slope;
  store<kAligned>(dx.row(row) + column, count, gradient);
}

/// gradient[g] += the rows of `sums` whose sequence is of group g, in order.
template <typename T>
__global__ void addGroupsKernel(const float* sums, const int32_t* groups, int32_t sequences, int64_t cols,
                                RowsOf<T> gradient) {
  const auto [sequence, column] = cellOf(cols, 1);
  if (sequence >= sequences) return;
  const int32_t group = groups[sequence];
  if (sequence > 0 && groups[sequence - 1] == group) return;
  float sum = 0;
  for (int64_t s = sequence; s < sequences && groups[s] == group; ++s) sum += sums[s * cols + column];
  T& target = gradient.row(group)[column];
  target = fromFloat<T>(toFloat(target) + sum);
}

template <typename T, bool kAligned, int N = kWidest<T>>
__global__ void gatherKernel(RowsOf<const T> x, const int32_t* rows, int64_t count, int64_t cols, RowsOf<T> y) {
  const auto [row, column] = cellOf(cols, N);
  if (row >= count) return;
  const int64_t from = rows ? rows[row] : row;
  store<kAligned>(y.row(row) + column, cols - column, load<kAligned, T>(x.row(from) + column, cols - column));
}

template <typename T>
void launchGather(const Matrix& x, const int32_t* rows, const Matrix& y, Stream stream) {
  const auto start = [&](auto kernel) {
    launch(kernel, blocksFor(cellsOf(y.rows, y.cols, kWidest<T>)), dim3(kThreads), 0, stream, RowsOf<const T>(x), rows,
           y.rows, y.cols, RowsOf<T>(y));
  };
  startAligned({x, y}) ? start(gatherKernel<T, true>) : start(gatherKernel<T, false>);
}

template <typename T>
__global__ void scatterKernel(RowsOf<const T> x, const int32_t* rows, bool accumulate, int64_t count, int64_t cols,
                              RowsOf<T> y) {
  const auto [row, column] = cellOf(cols, 1);
  if (row >= count) return;
  const T value = x.row(row)[column];
  T& target = y.row(rows[row])[column];
  target = accumulate ? fromFloat<T>(toFloat(target) + toFloat(value)) : value;
}

template <typename T>
__global__ void subtractKernel(RowsOf<const T> x, RowsOf<const T> z, const T* bias, int64_t rows, int64_t cols,
                               RowsOf<T> y) {
  const auto [row, column] = cellOf(cols, 1);
  if (row >= rows) return;
  const float shift = bias ? toFloat(bias[column]) : 0.0f;
  y.row(row)[column] = fromFloat<T>(toFloat(x.row(row)[column]) - toFloat(z.row(row)[column]) - shift);
}

template <typename T>
__global__ void addScaledKernel(RowsOf<const T> x, float factor, int64_t rows, int64_t cols, RowsOf<T> y) {
  const auto [row, column] = cellOf(cols, 1);
  if (row >= rows) return;
  T& target = y.row(row)[column];
  target = fromFloat<T>(toFloat(target) + factor * toFloat(x.row(row)[column]));
}

template <typename T, bool kAligned, int N = kWidest<T>>
__global__ void dropoutKernel(RowsOf<const T> x, DropoutFactors<float> factors, RowsOf<const T> residual, int64_t rows,
                              int64_t cols, RowsOf<T> y) {
  const auto [row, column] = cellOf(cols, N);
  if (row >= rows) return;
  const int64_t count = cols - column;
  const Floats<N> values = load<kAligned, T>(x.row(row) + column, count);
  Floats<N> sum = {};
  if (residual.data) sum = load<kAligned, T>(residual.row(row) + column, count);
  for (int i = 0; i < N; ++i) sum[i] += values[i] * factors.of(row * cols + column + i);
  store<kAligned>(y.row(row) + column, count, sum);
}

constexpr int kTile = 32;
constexpr int kTileRows = 8;

/// A block turns a tile over in shared memory, whose rows are one longer so that columns lie in different banks.
template <typename T>
__global__ void transposeKernel(RowsOf<const T> from, int64_t rows, int64_t cols, RowsOf<T> to) {
  T* tile = reinterpret_cast<T*>(sharedMemory());
  const int64_t firstRow = static_cast<int64_t>(blockIdx.y) * kTile,
                firstColumn = static_cast<int64_t>(blockIdx.x) * kTile;
  for (int r = static_cast<int>(threadIdx.y); r < kTile; r += kTileRows) {
    const int64_t row = firstRow + r, column = firstColumn + threadIdx.x;
    if (row < rows && column < cols) tile[r * (kTile + 1) + threadIdx.x] = from.row(row)[column];
  }
  __syncthreads();
  for (int r = static_cast<int>(threadIdx.y); r < kTile; r += kTileRows) {
    const int64_t row = firstColumn + r, column = firstRow + threadIdx.x;
    if (row < cols && column < rows) to.row(row)[column] = tile[static_cast<int>(threadIdx.x) * (kTile + 1) + r];
  }
}

__global__ void addToDoubleKernel(RowsOf<const float> part, bool accumulate, int64_t rows, int64_t cols,
                                  RowsOf<double> sums) {
  const auto [row, column] = cellOf(cols, 1);
  if (row >= rows) return;
  double& sum = sums.row(row)[column];
  sum = (accumulate ? sum : 0.0) + static_cast<double>(part.row(row)[column]);
}

}  // namespace

template <typename T>
void applyEpilogue(const Matrix& x, const Epilogue& epilogue, const Matrix& y, Stream stream) {
  launchEpilogue<T>(x, epilogue, y, stream);
}

template <typename T>
void activationBackward(const ActivationBackwardArgs& args, Runtime& runtime) {
  const Stream stream = runtime.stream();
  const int64_t cols = args.dy.cols;
  const auto* mask = static_cast<const T*>(args.columnMask);
  const bool aligned = startAligned({args.dy, args.preActivation, args.dx}) && startAligned(mask);
  if (!args.maskGradient) {
    const auto start = [&](auto kernel) {
      launch(kernel, blocksFor(cellsOf(args.dy.rows, cols, kWidest<T>)), dim3(kThreads), 0, stream,
             RowsOf<const T>(args.dy), RowsOf<const T>(args.preActivation), args.activation, mask, args.dy.rows, cols,
             RowsOf<T>(args.dx));
    };
    if (!args.dx) return;
    return aligned ? start(activationSlopeKernel<T, true>) : start(activationSlopeKernel<T, false>);
  }
  const DeviceArray<float> sums(runtime, static_cast<size_t>(args.sequences * cols) + 1);
  const auto start = [&](auto kernel) {
    launch(kernel, blocksFor(cellsOf(args.sequences, cols, kWidest<T>)), dim3(kThreads), 0, stream,
           RowsOf<const T>(args.dy), RowsOf<const T>(args.preActivation), args.activation, mask, args.offsets,
           args.sequences, cols, RowsOf<T>(args.dx), sums.data());
  };
  aligned ? start(activationBackwardKernel<T, true>) : start(activationBackwardKernel<T, false>);
  launch(addGroupsKernel<T>, blocksFor(cellsOf(args.sequences, cols, 1)), dim3(kThreads), 0, stream,
         static_cast<const float*>(sums.data()), args.groups, args.sequences, cols, RowsOf<T>(args.maskGradient));
}

template <typename T>
void gatherRows(const GatherRowsArgs& args, Stream stream) {
  launchGather<T>(args.x, args.rows, args.y, stream);
}

template <typename T>
void copyRows(const Matrix& from, const Matrix& to, Stream stream) {
  launchGather<T>(from, nullptr, to, stream);
}

template <typename T>
void scatterRows(const ScatterRowsArgs& args, Stream stream) {
  launch(scatterKernel<T>, blocksFor(cellsOf(args.x.rows, args.x.cols, 1)), dim3(kThreads), 0, stream,
         RowsOf<const T>(args.x), args.rows, args.accumulate, args.x.rows, args.x.cols, RowsOf<T>(args.y));
}

template <typename T>
void subtract(const SubtractArgs& args, Stream stream) {
  launch(subtractKernel<T>, blocksFor(cellsOf(args.y.rows, args.y.cols, 1)), dim3(kThreads), 0, stream,
         RowsOf<const T>(args.x), RowsOf<const T>(args.z), static_cast<const T*>(args.bias), args.y.rows, args.y.cols,
         RowsOf<T>(args.y));
}

template <typename T>
void addScaled(const AddScaledArgs& args, Stream stream) {
  launch(addScaledKernel<T>, blocksFor(cellsOf(args.y.rows, args.y.cols, 1)), dim3(kThreads), 0, stream,
         RowsOf<const T>(args.x), static_cast<float>(args.factor), args.y.rows, args.y.cols, RowsOf<T>(args.y));
}

template <typename T>
void dropout(const DropoutArgs& args, Stream stream) {
  const auto start = [&](auto kernel) {
    launch(kernel, blocksFor(cellsOf(args.y.rows, args.y.cols, kWidest<T>)), dim3(kThreads), 0, stream,
           RowsOf<const T>(args.x), DropoutFactors<float>(args.rate, args.key), RowsOf<const T>(args.residual),
           args.y.rows, args.y.cols, RowsOf<T>(args.y));
  };
  startAligned({args.x, args.residual, args.y}) ? start(dropoutKernel<T, true>) : start(dropoutKernel<T, false>);
}

template <typename T>
void transpose(const Matrix& from, const Matrix& to, Stream stream) {
  const dim3 grid(blocksFor(from.cols, kTile).x, blocksFor(from.rows, kTile).x);
  launch(transposeKernel<T>, grid, dim3(kTile, kTileRows), kTile * (kTile + 1) * sizeof(T), stream,
         RowsOf<const T>(from), from.rows, from.cols, RowsOf<T>(to));
}

void addToDouble(const Matrix& part, bool accumulate, const Matrix& sums, Stream stream) {
  launch(addToDoubleKernel, blocksFor(cellsOf(sums.rows, sums.cols, 1)), dim3(kThreads), 0, stream,
         RowsOf<const float>(part), accumulate, sums.rows, sums.cols, RowsOf<double>(sums));
}

template void applyEpilogue<float>(const Matrix&, const Epilogue&, const Matrix&, Stream);
template void applyEpilogue<Half>(const Matrix&, const Epilogue&, const Matrix&, Stream);
template void applyEpilogue<Bfloat16>(const Matrix&, const Epilogue&, const Matrix&, Stream);
template void activationBackward<float>(const ActivationBackwardArgs&, Runtime&);
template void gatherRows<float>(const GatherRowsArgs&, Stream);
template void gatherRows<Half>(const GatherRowsArgs&, Stream);
template void gatherRows<Bfloat16>(const GatherRowsArgs&, Stream);
template void copyRows<float>(const Matrix&, const Matrix&, Stream);
template void copyRows<Half>(const Matrix&, const Matrix&, Stream);
template void copyRows<Bfloat16>(const Matrix&, const Matrix&, Stream);
template void scatterRows<float>(const ScatterRowsArgs&, Stream);
template void scatterRows<Half>(const ScatterRowsArgs&, Stream);
template void scatterRows<Bfloat16>(const ScatterRowsArgs&, Stream);
template void subtract<float>(const SubtractArgs&, Stream);
template void addScaled<float>(const AddScaledArgs&, Stream);
template void dropout<float>(const DropoutArgs&, Stream);
template void transpose<float>(const Matrix&, const Matrix&, Stream);
template void transpose<Half>(const Matrix&, const Matrix&, Stream);
template void transpose<Bfloat16>(const Matrix&, const Matrix&, Stream);

}  // namespace espalier::cuda
