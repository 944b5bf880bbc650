#include <algorithm>

#include "backend/cpu/gemm.h"
#include "backend/cpu/gemm_blocks.h"
#include "backend/cpu/scratch.h"
#include "core/thread_pool.h"

namespace espalier::cpu {

namespace {

/// c (+)= a' b, whose k are the rows of a and b. Symmetric where a and b are the same matrix.
template <typename T>
class Product {
 public:
  Product(const TransposedProductArgs& args, bool symmetric, int threads)
      : args_(args),
        symmetric_(symmetric),
        kernels_(gemmKernels()),
        blocks_(shareOut(kernels_, args.c.rows, args.c.cols, threads)),
        chunks_{args.a.rows, kernels_.depth} {}

  int64_t tasks() const { return blocks_.rows.count() * blocks_.cols.count(); }

  void run(int64_t task) const {
    const int64_t rowBlock = task / blocks_.cols.count(), colBlock = task % blocks_.cols.count();
    const int64_t rows = blocks_.rows.size(rowBlock), firstRow = blocks_.rows.first(rowBlock);
    const int64_t cols = blocks_.cols.size(colBlock), firstCol = blocks_.cols.first(colBlock);
    if (rowsUntil(firstRow, firstCol + cols) <= 0) return;
    const int64_t aSize = roundUp(rows, kernels_.rows) * kernels_.depth;
    const int64_t bSize = roundUp(cols, kernels_.cols) * kernels_.depth;
    const int64_t tilesSize = roundUp(rows, kernels_.rows) * kernels_.cols;
    float* b = threadScratch(aSize + bSize + tilesSize * ceilDivide(cols, kernels_.cols) * (sizeof(T) / sizeof(float)));
    float* sums = b + bSize;
    float* a = sums + tilesSize * ceilDivide(cols, kernels_.cols) * (sizeof(T) / sizeof(float));

    for (int64_t chunk = 0; chunk < std::max<int64_t>(1, chunks_.count()); ++chunk) {
      const int64_t depth = chunks_.count() == 0 ? 0 : chunks_.size(chunk);
      const int64_t first = chunks_.first(chunk);
      kernels_.packA(args_.a.row<float>(first) + firstRow, args_.a.stride, rows, depth, a);
      kernels_.packB(args_.b.row<float>(first) + firstCol, args_.b.stride, cols, depth, b);
      for (int64_t col = 0; col < cols; col += kernels_.cols) {
        T* tiles = reinterpret_cast<T*>(sums) + col / kernels_.cols * tilesSize;
        const int64_t wanted = std::min(rows, rowsUntil(firstRow, firstCol + col + kernels_.cols));
        PanelProduct product{PanelLayout::byDepth, wanted, depth, a, b + col * depth, chunk > 0, nullptr, nullptr,
                             nullptr};
        if constexpr (sizeof(T) == sizeof(double)) product.sums = tiles; else product.tiles = tiles;
        kernels_.multiply(product);
      }
    }
    for (int64_t col = 0; col < cols; col += kernels_.cols) {
      const T* tiles = reinterpret_cast<const T*>(sums) + col / kernels_.cols * tilesSize;
      const int64_t wanted = std::min(rows, rowsUntil(firstRow, firstCol + col + kernels_.cols));
      add(tiles, firstRow, wanted, firstCol + col, std::min<int64_t>(kernels_.cols, cols - col));
    }
  }

 private:
  /// Rows from `firstRow` on that have an element to compute before column `endCol`.
  int64_t rowsUntil(int64_t firstRow, int64_t endCol) const {
    return symmetric_ ? endCol - firstRow : args_.c.rows - firstRow;
  }

  void add(const T* tiles, int64_t firstRow, int64_t rows, int64_t firstCol, int64_t cols) const {
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t place = firstRow + row;
      for (int64_t col = std::max<int64_t>(0, symmetric_ ? place - firstCol : 0); col < cols; ++col) {
        const T sum = tiles[row * kernels_.cols + col];
        set(place, firstCol + col, sum);
        if (symmetric_ && place != firstCol + col) set(firstCol + col, place, sum);
      }
    }
  }

  void set(int64_t row, int64_t col, T sum) const {
    T& c = args_.c.row<T>(row)[col];
    c = (args_.accumulate ? c : T(0)) + sum;
  }

  const TransposedProductArgs& args_;
  const bool symmetric_;
  const GemmKernels& kernels_;
  const Blocks blocks_;
  const Split chunks_;
};

template <typename T>
void runProduct(const TransposedProductArgs& args, bool symmetric, int threads) {
  if (args.c.rows == 0 || args.c.cols == 0) return;
  const Product<T> product(args, symmetric, threads);
  parallelFor(threads, product.tasks(), [&](int64_t task) { product.run(task); });
}

void runProduct(const TransposedProductArgs& args, bool symmetric, int threads) {
  if (args.c.dtype == DType::f64) {
    runProduct<double>(args, symmetric, threads);
  } else {
    runProduct<float>(args, symmetric, threads);
  }
}

}  // namespace

void transposedProduct(const TransposedProductArgs& args, int threads) { runProduct(args, false, threads); }

void gram(const GramArgs& args, int threads) { runProduct({args.x, args.x, args.c, args.accumulate}, true, threads); }

}  // namespace espalier::cpu
