#include "backend/cpu/operations.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {

void columnSums(const ColumnSumsArgs& args, int threads) {
  forEachChunk(threads, args.x.cols, kSumColumns, [&](int64_t first, int64_t cols) {
    double sums[kSumColumns] = {}, squares[kSumColumns] = {};
    for (int64_t row = 0; row < args.x.rows; ++row) {
      const float* x = args.x.row<float>(row) + first;
      for (int64_t col = 0; col < cols; ++col) {
        const double value = x[col];
        sums[col] += value;
        squares[col] += value * value;
      }
    }
    for (int64_t col = 0; col < cols; ++col) {
      args.sums.row<double>(0)[first + col] += sums[col];
      if (args.squares) args.squares.row<double>(0)[first + col] += squares[col];
    }
  });
}

void subtract(const SubtractArgs& args, int threads) {
  const float* bias = floats(args.bias);
  forEachChunk(threads, args.x.rows, rowsPerChunk(args.x.cols), [&](int64_t first, int64_t rows) {
    for (int64_t row = first; row < first + rows; ++row) {
      const float* x = args.x.row<float>(row);
      const float* z = args.z.row<float>(row);
      float* y = args.y.row<float>(row);
      for (int64_t col = 0; col < args.x.cols; ++col) y[col] = x[col] - z[col] - (bias ? bias[col] : 0.0f);
    }
  });
}

void addScaled(const AddScaledArgs& args, int threads) {
  const float factor = static_cast<float>(args.factor);
  forEachChunk(threads, args.x.rows, rowsPerChunk(args.x.cols), [&](int64_t first, int64_t rows) {
    for (int64_t row = first; row < first + rows; ++row) {
      const float* x = args.x.row<float>(row);
      float* y = args.y.row<float>(row);
      for (int64_t col = 0; col < args.x.cols; ++col) y[col] += factor * x[col];
    }
  });
}

}  // namespace espalier::cpu
