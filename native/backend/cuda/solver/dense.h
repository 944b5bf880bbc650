#pragma once

#include "backend/cuda/products.h"
#include "backend/cuda/runtime.h"
#include "core/matrix.h"

// Dense double-precision steps on row-major views of device memory, by the vendor's libraries.

namespace espalier::cuda {

/// c = alpha * a b + beta * c with c [rows, cols], b [inner, cols] and a [rows, inner], stored [inner, rows] when
/// `aSide` is transposed.
void multiply(Runtime& runtime, double alpha, const Matrix& a, Side aSide, const Matrix& b, double beta,
              const Matrix& c);

/// The lower triangle of a becomes its Cholesky factor. Throws notPositiveDefinite.
void cholesky(Runtime& runtime, const Matrix& a);

/// rows = rows * (l l')^-1 with the factor l [n, n] that cholesky() left and rows [any, n].
void solveFactored(Runtime& runtime, const Matrix& l, const Matrix& rows);

}  // namespace espalier::cuda
