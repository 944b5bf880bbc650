// The dense steps of cusolver_dense.cpp by those of the CPU's solver: the emulation's device memory is the host's.

#include "solver/dense.h"

#include "backend/cuda/solver/dense.h"
#include "solver/cholesky.h"
#include "solver/statistics.h"

namespace espalier::cuda {
namespace {

DenseMatrix transposed(const Matrix& matrix) {
  DenseMatrix result(matrix.cols, matrix.rows);
  for (int64_t i = 0; i < matrix.rows; ++i) {
    for (int64_t j = 0; j < matrix.cols; ++j) result.view.row<double>(j)[i] = matrix.row<double>(i)[j];
  }
  return result;
}

}  // namespace

void multiply(Runtime&, double alpha, const Matrix& a, Side aSide, const Matrix& b, double beta, const Matrix& c) {
  for (int64_t i = 0; i < c.rows; ++i) {
    // Zero times what was there before, which may be NaN, is zero.
    for (int64_t j = 0; j < c.cols; ++j) c.row<double>(i)[j] = beta == 0 ? 0 : beta * c.row<double>(i)[j];
  }
  const DenseMatrix flippedB = transposed(b);
  if (aSide == Side::plain) {
    denseKernels().addProduct(alpha, a, flippedB.view, c);
  } else {
    denseKernels().addProduct(alpha, transposed(a).view, flippedB.view, c);
  }
}

void cholesky(Runtime&, const Matrix& a) { espalier::cholesky(a, 1); }

void solveFactored(Runtime&, const Matrix& l, const Matrix& rows) {
  denseKernels().solveRows(l, rows);
  denseKernels().solveRowsTransposed(l, rows);
}

}  // namespace espalier::cuda
