// Optimal brain surgeon over the units of a projection. With h = (x'x)^-1 and t = w g w', where row i of w is what
// input i adds to the output, removing unit u costs tr(h_uu^-1 t_uu) once the other inputs have taken over what they
// can. The weights themselves never have to be updated: with h_uu = l l', c = h_:u l'^-1, a = t_:u l'^-1,
// m = l^-1 t_uu l'^-1 and b = a - c m / 2 the removal turns h into h - c c' and t into t - c b' - b c'.
// Like a blocked Cholesky factorisation, c and b are collected in panels before they touch the matrices.

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "solver/cholesky.h"
#include "solver/dense.h"
#include "solver/solver.h"
#include "solver/statistics.h"

namespace espalier {
namespace {

constexpr int64_t kPanelColumns = 64;

/// to = from', n x n
void transpose(const Matrix& from, const Matrix& to) {
  for (int64_t i = 0; i < from.rows; ++i) {
    for (int64_t j = 0; j < from.cols; ++j) to.row<double>(j)[i] = from.row<double>(i)[j];
  }
}

class Eliminator {
 public:
  Eliminator(DenseMatrix inverse, DenseMatrix products, int64_t unitSize, int threads)
      : unitSize_(unitSize),
        threads_(threads),
        size_(inverse.view.rows),
        inverse_(std::move(inverse)),
        products_(std::move(products)),
        panelColumns_(std::max(kPanelColumns / unitSize, int64_t{1}) * unitSize),
        c_(size_, panelColumns_),
        b_(size_, panelColumns_),
        factor_(unitSize, unitSize),
        middle_(unitSize, unitSize),
        flipped_(unitSize, unitSize),
        units_(static_cast<size_t>(size_ / unitSize)),
        removed_(units_.size(), false) {
    std::iota(units_.begin(), units_.end(), 0);
    copyDiagonalBlocks();
  }

  Elimination run() {
    Elimination result;
    double error = 0;
    for (size_t left = units_.size(); left > 0; --left) {
      const size_t place = cheapest();
      result.order.push_back(units_[place]);
      error += remove(place);
      result.errors.push_back(error);
    }
    return result;
  }

 private:
  Matrix block(const std::vector<double>& blocks, size_t place) const {
    const auto offset = static_cast<int64_t>(place) * unitSize_ * unitSize_;
    return {const_cast<double*>(blocks.data()) + offset, DType::f64, unitSize_, unitSize_, unitSize_};
  }

  void copyDiagonalBlocks() {
    const auto copy = [&](const Matrix& from, std::vector<double>& to) {
      to.resize(static_cast<size_t>(size_ * unitSize_));
      for (int64_t i = 0; i < size_; ++i) {
        const int64_t first = i / unitSize_ * unitSize_;
        for (int64_t j = 0; j < unitSize_; ++j) {
          // Only the lower triangle is kept up to date.
          to[static_cast<size_t>(i * unitSize_ + j)] = from.row<double>(std::max(i, first + j))[std::min(i, first + j)];
        }
      }
    };
    copy(inverse_.view, inverseBlocks_);
    copy(products_.view, productBlocks_);
  }

  /// middle_ = l^-1 t l'^-1 and its trace, where l, the factor of h, is left in factor_.
  double whiten(const Matrix& h, const Matrix& t) {
    const DenseKernels& kernels = denseKernels();
    for (int64_t i = 0; i < unitSize_; ++i) {
      std::copy_n(h.row<double>(i), unitSize_, factor_.view.row<double>(i));
      std::copy_n(t.row<double>(i), unitSize_, flipped_.view.row<double>(i));
    }
    if (!kernels.factor(factor_.view)) {
      throw Error(ErrorCode::notPositiveDefinite, "the inputs of a projection cannot be told apart");
    }
    kernels.solveRows(factor_.view, flipped_.view);
    transpose(flipped_.view, middle_.view);
    kernels.solveRows(factor_.view, middle_.view);
    double trace = 0;
    for (int64_t i = 0; i < unitSize_; ++i) trace += middle_.view.row<double>(i)[i];
    return trace;
  }

  /// The place of the unit whose removal costs least; the first of equal ones.
  size_t cheapest() {
    size_t best = units_.size();
    double least = 0;
    for (size_t place = 0; place < units_.size(); ++place) {
      if (removed_[place]) continue;
      const double cost = unitSize_ == 1 ? productBlocks_[place] / inverseBlocks_[place]
                                         : whiten(block(inverseBlocks_, place), block(productBlocks_, place));
      if (best == units_.size() || cost < least) {
        best = place;
        least = cost;
      }
    }
    return best;
  }

  double remove(size_t place) {
    const DenseKernels& kernels = denseKernels();
    const double cost = whiten(block(inverseBlocks_, place), block(productBlocks_, place));
    const auto first = static_cast<int64_t>(place) * unitSize_;
    const auto current = [&](const Matrix& matrix, const Matrix& columns) {
      for (int64_t i = 0; i < size_; ++i) {
        for (int64_t j = 0; j < unitSize_; ++j) {
          columns.row<double>(i)[j] = matrix.row<double>(std::max(i, first + j))[std::min(i, first + j)];
        }
      }
    };
    const Matrix c = c_.view.rowRange(0, size_).columns(0, pending_);
    const Matrix b = b_.view.rowRange(0, size_).columns(0, pending_);
    const Matrix newC = c_.view.rowRange(0, size_).columns(pending_, unitSize_);
    const Matrix newB = b_.view.rowRange(0, size_).columns(pending_, unitSize_);
    current(inverse_.view, newC);
    current(products_.view, newB);
    if (pending_ > 0) {
      kernels.addProduct(-1, c, c.rowRange(first, unitSize_), newC);
      kernels.addProduct(-1, c, b.rowRange(first, unitSize_), newB);
      kernels.addProduct(-1, b, c.rowRange(first, unitSize_), newB);
    }
    kernels.solveRows(factor_.view, newC);
    kernels.solveRows(factor_.view, newB);
    kernels.addProduct(-0.5, newC, middle_.view, newB);  // middle_ is symmetric
    for (size_t other = 0; other < units_.size(); ++other) {
      if (removed_[other] || other == place) continue;
      const Matrix rowsC = newC.rowRange(static_cast<int64_t>(other) * unitSize_, unitSize_);
      const Matrix rowsB = newB.rowRange(static_cast<int64_t>(other) * unitSize_, unitSize_);
      if (unitSize_ == 1) {
        const double x = *rowsC.row<double>(0), y = *rowsB.row<double>(0);
        inverseBlocks_[other] -= x * x;
        productBlocks_[other] -= 2 * x * y;
      } else {
        kernels.addProduct(-1, rowsC, rowsC, block(inverseBlocks_, other));
        kernels.addProduct(-1, rowsC, rowsB, block(productBlocks_, other));
        kernels.addProduct(-1, rowsB, rowsC, block(productBlocks_, other));
      }
    }
    removed_[place] = true;
    pending_ += unitSize_;
    if (pending_ == panelColumns_) flush();
    return cost;
  }

  /// Brings the panels into the matrices, which then hold the units that are left only.
  void flush() {
    std::vector<int64_t> kept;
    for (size_t place = 0; place < units_.size(); ++place) {
      if (removed_[place]) continue;
      units_[kept.size() / static_cast<size_t>(unitSize_)] = units_[place];
      for (int64_t i = 0; i < unitSize_; ++i) kept.push_back(static_cast<int64_t>(place) * unitSize_ + i);
    }
    size_ = static_cast<int64_t>(kept.size());
    units_.resize(kept.size() / static_cast<size_t>(unitSize_));
    removed_.assign(units_.size(), false);
    for (int64_t i = 0; i < size_; ++i) {
      const int64_t from = kept[static_cast<size_t>(i)];
      for (const Matrix& matrix : {inverse_.view, products_.view}) {
        for (int64_t j = 0; j <= i; ++j)
          matrix.row<double>(i)[j] = matrix.row<double>(from)[kept[static_cast<size_t>(j)]];
      }
      for (const Matrix& panel : {c_.view, b_.view})
        std::copy_n(panel.row<double>(from), pending_, panel.row<double>(i));
    }
    const auto left = [&](const Matrix& matrix) { return matrix.rowRange(0, size_).columns(0, size_); };
    const Matrix c = c_.view.rowRange(0, size_), b = b_.view.rowRange(0, size_);
    addLowerProduct(-1, c, c, left(inverse_.view), threads_);
    addLowerProduct(-1, c, b, left(products_.view), threads_);
    addLowerProduct(-1, b, c, left(products_.view), threads_);
    pending_ = 0;
    copyDiagonalBlocks();
  }

  int64_t unitSize_;
  int threads_;
  int64_t size_;  // inputs of the units in the matrices
  DenseMatrix inverse_, products_;
  int64_t panelColumns_;
  DenseMatrix c_, b_;
  DenseMatrix factor_, middle_, flipped_;
  std::vector<int32_t> units_;                         // at each place of the matrices
  std::vector<bool> removed_;                          // since the last flush
  std::vector<double> inverseBlocks_, productBlocks_;  // [places, unitSize, unitSize], up to date
  int64_t pending_ = 0;                                // columns of the panels in use
};

}  // namespace

Elimination eliminationOrder(const ProjectionStatistics& statistics, const double* outputMoments, int64_t unitSize,
                             double ridge, int threads) {
  checkUnits(statistics, unitSize);
  const int64_t inputs = statistics.inputs, hidden = statistics.hidden;
  DenseMatrix inverse(inputs, inputs);
  factorWithRidge(statistics, ridge, [&](double added) {
    centreGram(statistics, added, inverse.view);
    invert(inverse.view, threads);
  });

  const DenseMatrix vectors = inputVectors(statistics);
  DenseMatrix weighted(inputs, hidden), products(inputs, inputs);
  const Matrix moments{const_cast<double*>(outputMoments), DType::f64, hidden, hidden, hidden};
  denseKernels().addProduct(1, vectors.view, moments, weighted.view);
  addLowerProduct(1, weighted.view, vectors.view, products.view, threads);
  return Eliminator(std::move(inverse), std::move(products), unitSize, threads).run();
}

}  // namespace espalier
