#pragma once

#include "core/matrix.h"

namespace espalier {

/// The lower triangle of a becomes its Cholesky factor; the upper one is left alone. Throws notPositiveDefinite.
void cholesky(const Matrix& a, int threads);

/// a becomes its inverse, both triangles. Throws notPositiveDefinite.
void invert(const Matrix& a, int threads);

/// The lower triangle of c grows by alpha * a b'.
void addLowerProduct(double alpha, const Matrix& a, const Matrix& b, const Matrix& c, int threads);

}  // namespace espalier
