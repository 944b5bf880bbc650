#include "solver/cholesky.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/thread_pool.h"
#include "solver/dense.h"

namespace espalier {
namespace {

constexpr int64_t kPanel = 128;
constexpr int64_t kRowTile = 192;

/// Calls body(first row, rows) for tiles of the rows, the last ones first: in a lower triangle they are the longest.
template <typename Body>
void forEachRowTile(int threads, int64_t rows, const Body& body) {
  const int64_t tiles = (rows + kRowTile - 1) / kRowTile;
  parallelFor(threads, tiles, [&](int64_t index) {
    const int64_t first = (tiles - 1 - index) * kRowTile;
    body(first, std::min(kRowTile, rows - first));
  });
}

}  // namespace

void addLowerProduct(double alpha, const Matrix& a, const Matrix& b, const Matrix& c, int threads) {
  forEachRowTile(threads, c.rows, [&](int64_t first, int64_t rows) {
    const int64_t cols = first + rows;
    denseKernels().addProduct(alpha, a.rowRange(first, rows), b.rowRange(0, cols),
                              c.rowRange(first, rows).columns(0, cols));
  });
}

void cholesky(const Matrix& a, int threads) {
  const DenseKernels& kernels = denseKernels();
  for (int64_t first = 0; first < a.rows; first += kPanel) {
    const int64_t width = std::min(kPanel, a.rows - first);
    const Matrix panel = a.columns(first, width);
    const Matrix diagonal = panel.rowRange(first, width);
    if (!kernels.factor(diagonal)) {
      throw Error(ErrorCode::notPositiveDefinite, "a system of least squares is not positive definite");
    }
    const int64_t below = first + width;
    const Matrix rest = panel.rowRange(below, a.rows - below);
    forEachRowTile(threads, rest.rows,
                   [&](int64_t row, int64_t rows) { kernels.solveRows(diagonal, rest.rowRange(row, rows)); });
    addLowerProduct(-1, rest, rest, a.rowRange(below, rest.rows).columns(below, rest.rows), threads);
  }
}

void invert(const Matrix& a, int threads) {
  cholesky(a, threads);
  const int64_t n = a.rows;
  // a = l l', so its inverse is u u' with u = l'^-1, which is upper triangular.
  std::vector<double> factor(static_cast<size_t>(n * n), 0.0);
  const Matrix u{factor.data(), DType::f64, n, n, n};
  for (int64_t i = 0; i < n; ++i) u.row<double>(i)[i] = 1;
  forEachRowTile(threads, n, [&](int64_t first, int64_t rows) {
    // Columns left of the tile stay zero: the corner of l below and right of it is all that counts.
    const int64_t left = n - first;
    denseKernels().solveRows(a.rowRange(first, left).columns(first, left),
                             u.rowRange(first, rows).columns(first, left));
  });
  for (int64_t i = 0; i < n; ++i) std::fill_n(a.row<double>(i), n, 0.0);
  forEachRowTile(threads, n, [&](int64_t first, int64_t rows) {
    const Matrix right = u.columns(first, n - first);
    denseKernels().addProduct(1, right.rowRange(first, rows), right.rowRange(0, first + rows),
                              a.rowRange(first, rows).columns(0, first + rows));
  });
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < i; ++j) a.row<double>(j)[i] = a.row<double>(i)[j];
  }
}

}  // namespace espalier
