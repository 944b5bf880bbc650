#include "backend/dropout.h"

#include "backend/cpu/operations.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {
namespace {

/// Those of `count` elements from number `first` on. Taken by value, `factors` cannot be what is written to: the
/// compiler computes several at once.
void write(DropoutFactors<float> factors, int64_t first, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = factors.of(first + i);
}

}  // namespace

void dropout(const DropoutArgs& args, int threads) {
  const DropoutFactors<float> factors(args.rate, args.key);
  const int64_t cols = args.x.cols;
  forEachChunk(threads, args.x.rows, rowsPerChunk(cols), [&](int64_t first, int64_t rows) {
    float* rowFactors = threadScratch(static_cast<size_t>(cols));
    for (int64_t row = first; row < first + rows; ++row) {
      write(factors, row * cols, cols, rowFactors);
      const float* x = args.x.row<float>(row);
      const float* residual = args.residual ? args.residual.row<float>(row) : nullptr;
      float* y = args.y.row<float>(row);
      for (int64_t col = 0; col < cols; ++col) y[col] = (residual ? residual[col] : 0.0f) + x[col] * rowFactors[col];
    }
  });
}

}  // namespace espalier::cpu
