#pragma once

#include "core/matrix.h"

namespace espalier {

/// Dense double-precision steps on row-major views, compiled once per instruction set.
struct DenseKernels {
  /// c += alpha * a * b'
  void (*addProduct)(double alpha, const Matrix& a, const Matrix& b, const Matrix& c);
  /// The lower triangle of a becomes its Cholesky factor; false when a is not positive definite.
  bool (*factor)(const Matrix& a);
  /// b = b * l'^-1 with l lower triangular.
  void (*solveRows)(const Matrix& l, const Matrix& b);
  /// b = b * l^-1 with l lower triangular.
  void (*solveRowsTransposed)(const Matrix& l, const Matrix& b);
  /// x = (l l')^-1 x
  void (*solveFactored)(const Matrix& l, double* x);
};

/// The kernels of the process's instruction set.
const DenseKernels& denseKernels();

}  // namespace espalier
