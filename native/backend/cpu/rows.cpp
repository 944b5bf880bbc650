#include <cstring>

#include "backend/cpu/operations.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {

void gatherRows(const GatherRowsArgs& args, int threads) {
  const size_t bytes = static_cast<size_t>(args.y.cols) * sizeof(float);
  forEachChunk(threads, args.y.rows, rowsPerChunk(args.y.cols), [&](int64_t first, int64_t rows) {
    for (int64_t i = first; i < first + rows; ++i) {
      std::memcpy(args.y.row<float>(i), args.x.row<float>(args.rows[i]), bytes);
    }
  });
}

void scatterAddRows(const ScatterAddRowsArgs& args, int threads) {
  forEachChunk(threads, args.x.rows, rowsPerChunk(args.x.cols), [&](int64_t first, int64_t rows) {
    for (int64_t i = first; i < first + rows; ++i) {
      const float* x = args.x.row<float>(i);
      float* y = args.y.row<float>(args.rows[i]);
      for (int64_t col = 0; col < args.x.cols; ++col) y[col] += x[col];
    }
  });
}

}  // namespace espalier::cpu
