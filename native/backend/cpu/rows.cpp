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

void scatterRows(const ScatterRowsArgs& args, int threads) {
  forEachChunk(threads, args.x.rows, rowsPerChunk(args.x.cols), [&](int64_t first, int64_t rows) {
    for (int64_t i = first; i < first + rows; ++i) {
      const float* x = args.x.row<float>(i);
      float* y = args.y.row<float>(args.rows[i]);
      for (int64_t col = 0; col < args.x.cols; ++col) y[col] = args.accumulate ? y[col] + x[col] : x[col];
    }
  });
}

/// On one thread: a comparison a token is less work than to share it out.
void selectTokens(const SelectTokensArgs& args, int) {
  const float threshold = static_cast<float>(args.threshold);
  int32_t kept = 0;
  args.newOffsets[0] = 0;
  for (int32_t sequence = 0; sequence < args.sequences; ++sequence) {
    const int32_t first = args.offsets[sequence], end = args.offsets[sequence + 1];
    const float least = threshold * static_cast<float>(args.lengths[sequence]);
    for (int32_t token = first; token < end; ++token) {
      if (token == first || *args.scores.row<float>(token) >= least) args.rows[kept++] = token;
    }
    args.newOffsets[sequence + 1] = kept;
  }
}

}  // namespace espalier::cpu
