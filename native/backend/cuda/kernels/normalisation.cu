// Row-wise normalisation: a warp has a row, and reads it again from the cache for each of its sums.

#include "backend/cuda/kernels/operations.h"
#include "backend/cuda/kernels/vectors.h"

namespace espalier::cuda {
namespace {

constexpr int kRowsOfBlock = 4;

/// The row of this warp.
__device__ int64_t rowOfWarp() { return static_cast<int64_t>(blockIdx.x) * kRowsOfBlock + threadIdx.x / kWarp; }

__device__ int64_t lane() { return threadIdx.x % kWarp; }

/// Rows that lie in memory.
template <typename T>
struct StoredRows {
  RowsOf<const T> x;

  template <bool kAligned, int N = kWidest<T>>
  __device__ Floats<N> at(int64_t row, int64_t column, int64_t count) const {
    return load<kAligned, T>(x.row(row) + column, count);
  }

  template <bool kAligned, int N>
  __device__ void save(int64_t, int64_t, int64_t, const Floats<N>&) const {}
};

/// Rows that are sums of entries of the embedding tables, and are stored where that is wanted.
template <typename T>
struct EmbeddedRows {
  const int32_t *ids, *positions, *tokenTypes;
  RowsOf<const T> word, position, tokenType;
  RowsOf<T> sums;

  template <bool kAligned, int N = kWidest<T>>
  __device__ Floats<N> at(int64_t row, int64_t column, int64_t count) const {
    Floats<N> sum = load<kAligned, T>(word.row(ids[row]) + column, count);
    add<kAligned>(position.row(positions[row]) + column, count, sum);
    if (tokenTypes) add<kAligned>(tokenType.row(tokenTypes[row]) + column, count, sum);
    return sum;
  }

  template <bool kAligned, int N>
  __device__ void save(int64_t row, int64_t column, int64_t count, const Floats<N>& sum) const {
    if (sums.data) store<kAligned>(sums.row(row) + column, count, sum);
  }

 private:
  template <bool kAligned, int N>
  __device__ static void add(const T* entry, int64_t count, Floats<N>& sum) {
    const Floats<N> values = load<kAligned, T>(entry, count);
    for (int i = 0; i < N; ++i) sum[i] += values[i];
  }
};

template <typename T, bool kAligned, typename Source, int N = kWidest<T>>
__global__ void layerNormKernel(Source source, const T* gamma, const T* beta, float epsilon, int64_t rows, int64_t cols,
                                RowsOf<T> y, RowsOf<T> statistics) {
  const int64_t row = rowOfWarp();
  if (row >= rows) return;
  const float columns = static_cast<float>(cols);
  float sum = 0;
  for (int64_t c = lane() * N; c < cols; c += kWarp * N) {
    const Floats<N> x = source.template at<kAligned>(row, c, cols - c);
    for (int i = 0; i < N; ++i) sum += x[i];
  }
  const float mean = warpSum(sum) / columns;
  float squares = 0;
  for (int64_t c = lane() * N; c < cols; c += kWarp * N) {
    const Floats<N> x = source.template at<kAligned>(row, c, cols - c);
    for (int i = 0; i < N; ++i) squares += c + i < cols ? (x[i] - mean) * (x[i] - mean) : 0.0f;
  }
  const float rstd = 1.0f / sqrtf(warpSum(squares) / columns + epsilon);
  for (int64_t c = lane() * N; c < cols; c += kWarp * N) {
    Floats<N> x = source.template at<kAligned>(row, c, cols - c);
    source.template save<kAligned>(row, c, cols - c, x);
    const Floats<N> factor = load<kAligned, T>(gamma + c, cols - c), shift = load<kAligned, T>(beta + c, cols - c);
    for (int i = 0; i < N; ++i) x[i] = (x[i] - mean) * rstd * factor[i] + shift[i];
    store<kAligned>(y.row(row) + c, cols - c, x);
  }
  if (statistics.data && lane() == 0) {
    statistics.row(row)[0] = fromFloat<T>(mean);
    statistics.row(row)[1] = fromFloat<T>(rstd);
  }
}

template <typename T, bool kAligned, int N = kWidest<T>>
__global__ void layerNormBackwardKernel(RowsOf<const T> dy, RowsOf<const T> x, RowsOf<const T> statistics,
                                        const T* gamma, int64_t rows, int64_t cols, RowsOf<T> dx) {
  const int64_t row = rowOfWarp();
  if (row >= rows) return;
  const float mean = toFloat(statistics.row(row)[0]), rstd = toFloat(statistics.row(row)[1]);
  const auto scaled = [&](int64_t c) {
    Floats<N> gradient = load<kAligned, T>(dy.row(row) + c, cols - c);
    const Floats<N> factor = load<kAligned, T>(gamma + c, cols - c);
    for (int i = 0; i < N; ++i) gradient[i] *= factor[i];
    return gradient;
  };
  float sum = 0, sumNormalised = 0;
  for (int64_t c = lane() * N; c < cols; c += kWarp * N) {
    const Floats<N> gradient = scaled(c), value = load<kAligned, T>(x.row(row) + c, cols - c);
    for (int i = 0; i < N; ++i) {
      sum += gradient[i];
      sumNormalised += gradient[i] * (value[i] - mean) * rstd;
    }
  }
  const float columns = static_cast<float>(cols);
  const float part = warpSum(sum) / columns, normalisedPart = warpSum(sumNormalised) / columns;
  for (int64_t c = lane() * N; c < cols; c += kWarp * N) {
    Floats<N> gradient = scaled(c);
    const Floats<N> value = load<kAligned, T>(x.row(row) + c, cols - c);
    for (int i = 0; i < N; ++i) gradient[i] = rstd * (gradient[i] - part - (value[i] - mean) * rstd * normalisedPart);
    store<kAligned>(dx.row(row) + c, cols - c, gradient);
  }
}

constexpr dim3 kBlock(kRowsOfBlock* kWarp);

template <typename T, typename Source>
void launchLayerNorm(bool aligned, const Source& source, const void* gamma, const void* beta, double epsilon,
                     const Matrix& y, const Matrix& statistics, Stream stream) {
  const auto start = [&](auto kernel) {
    launch(kernel, blocksFor(y.rows, kRowsOfBlock), kBlock, 0, stream, source, static_cast<const T*>(gamma),
           static_cast<const T*>(beta), static_cast<float>(epsilon), y.rows, y.cols, RowsOf<T>(y),
           RowsOf<T>(statistics));
  };
  aligned&& startAligned({y}) && startAligned(gamma) && startAligned(beta) ? start(layerNormKernel<T, true, Source>)
                                                                           : start(layerNormKernel<T, false, Source>);
}

}  // namespace

template <typename T>
void embed(const EmbedArgs& args, Stream stream) {
  const EmbeddedRows<T> source{args.ids,
                               args.positions,
                               args.tokenTypes,
                               RowsOf<const T>(args.word),
                               RowsOf<const T>(args.position),
                               RowsOf<const T>(args.tokenType),
                               RowsOf<T>(args.sum)};
  const bool aligned = startAligned({args.word, args.position, args.tokenType, args.sum});
  launchLayerNorm<T>(aligned, source, args.gamma, args.beta, args.epsilon, args.y, args.statistics, stream);
}

template <typename T>
void layerNorm(const LayerNormArgs& args, Stream stream) {
  launchLayerNorm<T>(startAligned({args.x}), StoredRows<T>{RowsOf<const T>(args.x)}, args.gamma, args.beta,
                     args.epsilon, args.y, args.statistics, stream);
}

template <typename T>
void layerNormBackward(const LayerNormBackwardArgs& args, Runtime& runtime) {
  addLayerNormParameterGradients<T>(args, runtime);  // first: dx may alias dy
  const auto start = [&](auto kernel) {
    launch(kernel, blocksFor(args.x.rows, kRowsOfBlock), kBlock, 0, runtime.stream(), RowsOf<const T>(args.dy),
           RowsOf<const T>(args.x), RowsOf<const T>(args.statistics), static_cast<const T*>(args.gamma), args.x.rows,
           args.x.cols, RowsOf<T>(args.dx));
  };
  const bool aligned = startAligned({args.dy, args.x, args.dx}) && startAligned(args.gamma);
  aligned ? start(layerNormBackwardKernel<T, true>) : start(layerNormBackwardKernel<T, false>);
}

template void embed<float>(const EmbedArgs&, Stream);
template void embed<Half>(const EmbedArgs&, Stream);
template void embed<Bfloat16>(const EmbedArgs&, Stream);
template void layerNorm<float>(const LayerNormArgs&, Stream);
template void layerNorm<Half>(const LayerNormArgs&, Stream);
template void layerNorm<Bfloat16>(const LayerNormArgs&, Stream);
template void layerNormBackward<float>(const LayerNormBackwardArgs&, Runtime&);

}  // namespace espalier::cuda
