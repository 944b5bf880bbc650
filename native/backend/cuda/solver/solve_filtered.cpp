#include "backend/cuda/solver/dense.h"
#include "backend/cuda/solver/device_matrix.h"
#include "backend/cuda/solver/matrix_steps.h"
#include "backend/cuda/solver/solver.h"
#include "solver/scale_terms.h"

namespace espalier::cuda {

// As on the CPU, forming M^2 would square the condition number. With P = (M + 1)^-1 and S = 1 - 2 P, whose eigenvalues
// lie in [-1, 1], the filter is (1 + S^2) z = (1 + S) P r. A device makes all of S in less time than an iteration's
// solution of two triangular systems takes.
std::vector<double> solveFiltered(Runtime& runtime, const double* matrix, const std::vector<double>& rhs) {
  checkSystem(matrix, rhs);
  const auto n = static_cast<int64_t>(rhs.size());
  const DeviceMatrix factor(runtime, n, n), s(runtime, n, n), solved(runtime, 1, n), solution(runtime, 1, n);
  runtime.copyIn(factor.view.data, matrix, factor.values.size() * sizeof(double));
  addToDiagonal(runtime, 1, factor.view);
  cholesky(runtime, factor.view);
  runtime.copyIn(solved.view.data, rhs.data(), rhs.size() * sizeof(double));
  solveFactored(runtime, factor.view, solved.view);

  runtime.fillZero(s.view.data, s.values.size() * sizeof(double));
  addToDiagonal(runtime, -2, s.view);
  solveFactored(runtime, factor.view, s.view);
  addToDiagonal(runtime, 2, s.view);
  multiply(runtime, 1, solved.view, Side::plain, s.view, 0, solution.view);
  addToDiagonal(runtime, -1, s.view);

  multiply(runtime, 1, s.view, Side::transposed, s.view, 0, factor.view);
  addToDiagonal(runtime, 1, factor.view);
  cholesky(runtime, factor.view);
  solveFactored(runtime, factor.view, solution.view);
  std::vector<double> scales(rhs.size());
  runtime.copyOut(scales.data(), solution.view.data, scales.size() * sizeof(double));
  return scales;
}

}  // namespace espalier::cuda
