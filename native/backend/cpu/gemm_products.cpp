#include <algorithm>
#include <type_traits>

#include "backend/cpu/gemm.h"
#include "backend/cpu/gemm_blocks.h"
#include "backend/cpu/scratch.h"
#include "core/thread_pool.h"

namespace espalier::cpu {

namespace {

/// Columns of a block: its packed b and its sums stay within a few megabytes.
constexpr int64_t kMostCols = 1536;
/// Rows of a and b that are summed in the backend's dtype. Both are packed anew for every block: few rows at a time
/// stay in the cache from there to the product.
constexpr int64_t kChunkRows = 256;

/// c (+)= a' b, whose k are the rows of a and b. `Total` is c's type. Where a and b are the same matrix it is
/// symmetric: only what lies on or above the diagonal is computed.
template <typename Total>
class Product {
 public:
  Product(const TransposedProductArgs& args, bool symmetric, int threads)
      : args_(args),
        symmetric_(symmetric),
        kernels_(gemmKernels()),
        chunks_{args.a.rows, kChunkRows},
        blocks_(shareOut(kernels_, {args.c.rows, args.c.cols, args.a.rows, cachedRows(kernels_, kChunkRows), kMostCols},
                         threads)) {}

  int64_t blocks() const { return blocks_.count(); }

  /// Packs both operands chunk after chunk and keeps the sums of the block's tiles until the last.
  void run(int64_t index) const {
    const Block block = blocks_[index];
    if (rowsWanted(block, block.cols) == 0) return;
    const int64_t paddedRows = roundUp(block.rows, kernels_.rows), paddedCols = roundUp(block.cols, kernels_.cols);
    const int64_t sumsSize = paddedRows * paddedCols * static_cast<int64_t>(sizeof(Total) / sizeof(float));
    float* scratch = threadScratch(sumsSize + (paddedRows + paddedCols) * kChunkRows);
    Total* sums = reinterpret_cast<Total*>(scratch);
    float* a = scratch + sumsSize;
    float* b = a + paddedRows * kChunkRows;
    for (int64_t chunk = 0; chunk < chunks_.count(); ++chunk) {
      const int64_t first = chunks_.first(chunk), depth = chunks_.size(chunk);
      kernels_.packA(args_.a.row<float>(first) + block.firstRow, args_.a.stride, block.rows, depth, a);
      kernels_.packB(args_.b.row<float>(first) + block.firstCol, args_.b.stride, block.cols, depth, b);
      multiply(block, chunk, a, b, sums);
    }
    for (int64_t col = 0; col < block.cols; col += kernels_.cols) addPanel(block, col, sums + col * paddedRows);
  }

 private:
  /// Rows of the block that have something to compute before column `endCol` of it.
  int64_t rowsWanted(const Block& block, int64_t endCol) const {
    if (!symmetric_) return block.rows;
    return std::clamp<int64_t>(block.firstCol + endCol - block.firstRow, 0, block.rows);
  }

  void multiply(const Block& block, int64_t chunk, const float* a, const float* b, Total* sums) const {
    PanelProduct product{};
    product.layout = PanelLayout::byDepth;
    product.depth = chunks_.size(chunk);
    product.a = a;
    product.accumulate = chunk > 0;
    for (int64_t col = 0; col < block.cols; col += kernels_.cols) {
      product.cols = std::min<int64_t>(kernels_.cols, block.cols - col);
      product.rows = rowsWanted(block, col + product.cols);
      product.b = b + col * product.depth;
      product.nextB = product.b + kernels_.cols * product.depth;
      Total* tiles = sums + col * roundUp(block.rows, kernels_.rows);
      if constexpr (std::is_same_v<Total, double>) {
        product.sums = tiles;
      } else {
        product.tiles = tiles;
      }
      kernels_.multiply(product);
    }
  }

  /// Adds the sums of the panel at column `col` of the block to c; where that is symmetric, what lies above the
  /// diagonal to both sides of it.
  void addPanel(const Block& block, int64_t col, const Total* tiles) const {
    const int64_t width = kernels_.cols, cols = std::min(width, block.cols - col), firstCol = block.firstCol + col;
    const int64_t rows = rowsWanted(block, col + cols);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t place = block.firstRow + row, below = symmetric_ ? std::max<int64_t>(0, place - firstCol) : 0;
      addRun(tiles + row * width + below, 1, cols - below, args_.c.row<Total>(place) + firstCol + below);
    }
    if (!symmetric_) return;
    for (int64_t i = 0; i < cols; ++i) {
      const int64_t above = std::min(rows, firstCol + i - block.firstRow);
      addRun(tiles + i, width, above, args_.c.row<Total>(firstCol + i) + block.firstRow);
    }
  }

  void addRun(const Total* sums, int64_t step, int64_t count, Total* c) const {
    if (args_.accumulate) {
      for (int64_t i = 0; i < count; ++i) c[i] += sums[i * step];
    } else {
      for (int64_t i = 0; i < count; ++i) c[i] = sums[i * step];
    }
  }

  const TransposedProductArgs& args_;
  const bool symmetric_;
  const GemmKernels& kernels_;
  const Split chunks_;
  const Blocks blocks_;
};

template <typename Total>
void run(const TransposedProductArgs& args, bool symmetric, int threads) {
  if (args.c.rows == 0 || args.c.cols == 0) return;
  const Product<Total> product(args, symmetric, threads);
  parallelFor(threads, product.blocks(), [&product](int64_t block) { product.run(block); });
}

void run(const TransposedProductArgs& args, bool symmetric, int threads) {
  if (args.c.dtype == DType::f64) {
    run<double>(args, symmetric, threads);
  } else {
    run<float>(args, symmetric, threads);
  }
}

}  // namespace

void transposedProduct(const TransposedProductArgs& args, int threads) { run(args, false, threads); }

void gram(const GramArgs& args, int threads) { run({args.x, args.x, args.c, args.accumulate}, true, threads); }

}  // namespace espalier::cpu
