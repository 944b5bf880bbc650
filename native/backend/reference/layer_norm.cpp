#include <cmath>

#include "backend/reference/operations.h"

namespace espalier::reference {

namespace {

template <typename T>
struct RowStatistics {
  T mean = 0;
  T rstd = 0;
};

template <typename T>
RowStatistics<T> rowStatistics(const T* x, int64_t cols, double epsilon) {
  T sum = 0;
  for (int64_t c = 0; c < cols; ++c) sum += x[c];
  const T mean = sum / static_cast<T>(cols);
  T squares = 0;
  for (int64_t c = 0; c < cols; ++c) squares += (x[c] - mean) * (x[c] - mean);
  return {mean, 1 / std::sqrt(squares / static_cast<T>(cols) + static_cast<T>(epsilon))};
}

/// Saves a row's statistics where they are wanted.
template <typename T>
void keep(const RowStatistics<T>& statistics, const Matrix& wanted, int64_t row) {
  if (!wanted) return;
  wanted.row<T>(row)[0] = statistics.mean;
  wanted.row<T>(row)[1] = statistics.rstd;
}

template <typename T>
void normalise(const T* x, const RowStatistics<T>& statistics, const T* gamma, const T* beta, int64_t cols, T* y) {
  for (int64_t c = 0; c < cols; ++c) y[c] = gamma[c] * ((x[c] - statistics.mean) * statistics.rstd) + beta[c];
}

template <typename T>
void addParameterGradients(const LayerNormBackwardArgs& args) {
  const auto addColumns = [&](const Matrix& sums, const auto& element) {
    for (int64_t c = 0; sums && c < args.x.cols; ++c) {
      sums.row<double>(0)[c] += sumOverRows<T, double>(args.x.rows, [&](int64_t r) { return element(r, c); });
    }
  };
  addColumns(args.dBeta, [&](int64_t r, int64_t c) { return args.dy.row<T>(r)[c]; });
  addColumns(args.dGamma, [&](int64_t r, int64_t c) {
    const T* statistics = args.statistics.row<T>(r);
    return args.dy.row<T>(r)[c] * ((args.x.row<T>(r)[c] - statistics[0]) * statistics[1]);
  });
}

}  // namespace

template <typename T>
void embed(const EmbedArgs& args) {
  const T* gamma = vectorOf<T>(args.gamma);
  const T* beta = vectorOf<T>(args.beta);
  for (int64_t r = 0; r < args.y.rows; ++r) {
    T* sum = (args.sum ? args.sum : args.y).row<T>(r);
    const T* word = args.word.row<T>(args.ids[r]);
    const T* position = args.position.row<T>(args.positions[r]);
    const T* tokenType = args.tokenTypes ? args.tokenType.row<T>(args.tokenTypes[r]) : nullptr;
    for (int64_t c = 0; c < args.y.cols; ++c) sum[c] = word[c] + position[c] + (tokenType ? tokenType[c] : T(0));
    const RowStatistics<T> statistics = rowStatistics(sum, args.y.cols, args.epsilon);
    normalise(sum, statistics, gamma, beta, args.y.cols, args.y.row<T>(r));
    keep(statistics, args.statistics, r);
  }
}

template <typename T>
void layerNorm(const LayerNormArgs& args) {
  for (int64_t r = 0; r < args.x.rows; ++r) {
    const T* x = args.x.row<T>(r);
    const RowStatistics<T> statistics = rowStatistics(x, args.x.cols, args.epsilon);
    normalise(x, statistics, vectorOf<T>(args.gamma), vectorOf<T>(args.beta), args.x.cols, args.y.row<T>(r));
    keep(statistics, args.statistics, r);
  }
}

// With n = (x - mean) * rstd and g = dy * gamma: dx = rstd * (g - mean(g) - n * mean(g * n)).
template <typename T>
void layerNormBackward(const LayerNormBackwardArgs& args) {
  // The parameters' gradients first: dx may alias dy.
  addParameterGradients<T>(args);
  const T* gamma = vectorOf<T>(args.gamma);
  const int64_t cols = args.x.cols;
  for (int64_t r = 0; r < args.x.rows; ++r) {
    const T* x = args.x.row<T>(r);
    const T* dy = args.dy.row<T>(r);
    const T mean = args.statistics.row<T>(r)[0];
    const T rstd = args.statistics.row<T>(r)[1];
    T sumG = 0;
    T sumGN = 0;
    for (int64_t c = 0; c < cols; ++c) {
      const T g = dy[c] * gamma[c];
      sumG += g;
      sumGN += g * (x[c] - mean) * rstd;
    }
    const T meanG = sumG / static_cast<T>(cols);
    const T meanGN = sumGN / static_cast<T>(cols);
    for (int64_t c = 0; c < cols; ++c) {
      args.dx.row<T>(r)[c] = rstd * (dy[c] * gamma[c] - meanG - (x[c] - mean) * rstd * meanGN);
    }
  }
}

template void embed<float>(const EmbedArgs&);
template void embed<double>(const EmbedArgs&);
template void layerNorm<float>(const LayerNormArgs&);
template void layerNorm<double>(const LayerNormArgs&);
template void layerNormBackward<float>(const LayerNormBackwardArgs&);
template void layerNormBackward<double>(const LayerNormBackwardArgs&);

}  // namespace espalier::reference
