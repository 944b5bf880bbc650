#include <vector>

#include "solver/cholesky.h"
#include "solver/dense.h"
#include "solver/scale_terms.h"
#include "solver/solver.h"

namespace espalier {
namespace {

using Vector = std::vector<double>;

constexpr int kMaxIterations = 40;
// Relative to z; the scales end up in 32-bit weights.
constexpr double kTolerance = 1e-9;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// y += alpha * x
void add(double alpha, const Vector& x, Vector& y) {
  for (size_t i = 0; i < y.size(); ++i) y[i] += alpha * x[i];
}

/// z of (M^2 + 1) z = M r for r = rhs, given applyP(x) = (M + 1)^-1 x.
//
// Forming M^2 would square the condition number. With P = (M + 1)^-1 instead, M = P^-1 - 1 turns the filter into
// (1 - 2 P + 2 P^2) z = P r - P^2 r. P's eigenvalues lie in (0, 1], so the left-hand side's lie in [1/2, 1] and
// conjugate gradients gain a factor of six a step, whatever M is.
template <typename ApplyP>
Vector filtered(const Vector& rhs, const ApplyP& applyP) {
  Vector residual = applyP(rhs);
  add(-1, applyP(residual), residual);
  Vector z(residual.size(), 0.0), direction = residual;
  double squared = dot(residual, residual);
  const double enough = kTolerance * kTolerance * squared;
  for (int iteration = 0; iteration < kMaxIterations && squared > enough; ++iteration) {
    const Vector once = applyP(direction), twice = applyP(once);
    Vector image = direction;
    add(-2, once, image);
    add(2, twice, image);
    const double step = squared / dot(direction, image);
    add(step, direction, z);
    add(-step, image, residual);
    const double before = squared;
    squared = dot(residual, residual);
    for (size_t i = 0; i < direction.size(); ++i) direction[i] = residual[i] + squared / before * direction[i];
  }
  return z;
}

}  // namespace

std::vector<double> solveFiltered(const double* matrix, const std::vector<double>& rhs, int threads) {
  checkSystem(matrix, rhs);
  const auto n = static_cast<int64_t>(rhs.size());
  Vector factored(matrix, matrix + n * n);
  for (int64_t i = 0; i < n; ++i) factored[i * n + i] += 1;
  const Matrix l{factored.data(), DType::f64, n, n, n};
  cholesky(l, threads);
  return filtered(rhs, [&](Vector x) {
    denseKernels().solveFactored(l, x.data());
    return x;
  });
}

}  // namespace espalier
