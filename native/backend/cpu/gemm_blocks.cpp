#include "backend/cpu/gemm_blocks.h"

#include <unistd.h>

#include <algorithm>

namespace espalier::cpu {

namespace {

/// Multiply-adds that are worth waking a thread for.
constexpr int64_t kWorthAThread = 500000;

int64_t usefulThreads(const ProductShape& shape, int threads) {
  const double work =
      static_cast<double>(shape.rows) * static_cast<double>(shape.cols) * static_cast<double>(shape.depth);
  return static_cast<int64_t>(std::clamp(work / kWorthAThread, 1.0, static_cast<double>(threads)));
}

}  // namespace

Block Blocks::operator[](int64_t index) const {
  const int64_t row = index / cols.count(), col = index % cols.count();
  return {rows.first(row), rows.size(row), cols.first(col), cols.size(col)};
}

Blocks shareOut(const GemmKernels& kernels, const ProductShape& shape, int threads) {
  const int64_t workers = usefulThreads(shape, threads);
  const int64_t tileRows = ceilDivide(shape.rows, kernels.rows), tileCols = ceilDivide(shape.cols, kernels.cols);
  int64_t rowBlocks = ceilDivide(shape.rows, shape.mostRows), colBlocks = ceilDivide(shape.cols, shape.mostCols);
  // Two blocks a thread even out what slows one of them down; with many, a last round of a few matters little.
  const auto shared = [&](int64_t blocks) {
    return workers == 1 || (blocks >= 2 * workers && (blocks % workers == 0 || blocks >= 8 * workers));
  };
  while (!shared(rowBlocks * colBlocks) && rowBlocks * colBlocks < tileRows * tileCols) {
    // The longer side: every block packs its rows of a, and every block of rows reads all of b.
    const bool splitRows =
        shape.rows * colBlocks > shape.cols * rowBlocks ? rowBlocks < tileRows : colBlocks == tileCols;
    ++(splitRows ? rowBlocks : colBlocks);
  }
  return {{shape.rows, ceilDivide(tileRows, rowBlocks) * kernels.rows},
          {shape.cols, ceilDivide(tileCols, colBlocks) * kernels.cols}};
}

int64_t secondLevelCache() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  static const int64_t known = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (known > 0) return known;
#endif
  return 512 << 10;
}

int64_t cachedRows(const GemmKernels& kernels, int64_t depth) {
  const int64_t bytesOfPanel = static_cast<int64_t>(sizeof(float)) * kernels.rows * depth;
  return kernels.rows * std::max<int64_t>(1, secondLevelCache() / 2 / bytesOfPanel);
}

}  // namespace espalier::cpu
