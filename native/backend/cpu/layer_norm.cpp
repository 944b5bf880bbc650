#include "backend/cpu/operations.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {
namespace {

void addParameterGradients(const LayerNormBackwardArgs& args, int threads) {
  if (!args.dGamma && !args.dBeta) return;
  forEachChunk(threads, args.x.cols, kSumColumns, [&](int64_t first, int64_t cols) {
    double gammaSums[kSumColumns] = {}, betaSums[kSumColumns] = {};
    for (int64_t row = 0; row < args.x.rows; ++row) {
      const float* dy = args.dy.row<float>(row) + first;
      const float* x = args.x.row<float>(row) + first;
      const float mean = args.statistics.row<float>(row)[0], rstd = args.statistics.row<float>(row)[1];
      for (int64_t col = 0; col < cols; ++col) {
        gammaSums[col] += dy[col] * ((x[col] - mean) * rstd);
        betaSums[col] += dy[col];
      }
    }
    for (int64_t col = 0; col < cols; ++col) {
      if (args.dGamma) args.dGamma.row<double>(0)[first + col] += gammaSums[col];
      if (args.dBeta) args.dBeta.row<double>(0)[first + col] += betaSums[col];
    }
  });
}

}  // namespace

void layerNorm(const LayerNormArgs& args, int threads) {
  const int64_t cols = args.x.cols;
  forEachChunk(threads, args.x.rows, rowsPerChunk(cols), [&](int64_t first, int64_t rows) {
    cpuKernels().layerNorm({rows, cols, constRowsOf(args.x, first), floats(args.gamma), floats(args.beta),
                            static_cast<float>(args.epsilon), rowsOf(args.y, first), rowsOf(args.statistics, first)});
  });
}

void layerNormBackward(const LayerNormBackwardArgs& args, int threads) {
  addParameterGradients(args, threads);  // first: dx may alias dy
  const int64_t cols = args.x.cols;
  forEachChunk(threads, args.x.rows, rowsPerChunk(cols), [&](int64_t first, int64_t rows) {
    cpuKernels().layerNormBackward({rows, cols, constRowsOf(args.dy, first), constRowsOf(args.x, first),
                                    constRowsOf(args.statistics, first), floats(args.gamma), rowsOf(args.dx, first)});
  });
}

}  // namespace espalier::cpu
