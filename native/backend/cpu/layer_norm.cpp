#include "backend/cpu/operations.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {

void layerNorm(const LayerNormArgs& args, int threads) {
  const int64_t cols = args.x.cols;
  forEachChunk(threads, args.x.rows, rowsPerChunk(cols), [&](int64_t first, int64_t rows) {
    cpuKernels().layerNorm({rows, cols, constRowsOf(args.x, first), floats(args.gamma), floats(args.beta),
                            static_cast<float>(args.epsilon), rowsOf(args.y, first), rowsOf(args.statistics, first)});
  });
}

void layerNormBackward(const LayerNormBackwardArgs& args, int threads) {
  const int64_t cols = args.x.cols;
  forEachChunk(threads, args.x.rows, rowsPerChunk(cols), [&](int64_t first, int64_t rows) {
    cpuKernels().layerNormBackward({rows, cols, constRowsOf(args.dy, first), constRowsOf(args.x, first),
                                    constRowsOf(args.statistics, first), floats(args.gamma), rowsOf(args.dx, first)});
  });
}

}  // namespace espalier::cpu
