#include <vector>

#include "solver/cholesky.h"
#include "solver/dense.h"
#include "solver/filter.h"
#include "solver/solver.h"

namespace espalier {

std::vector<double> solveFiltered(const ScaleSystem& system, int threads) {
  checkSystem(system);
  const auto n = static_cast<int64_t>(system.rhs.size());
  std::vector<double> factored = system.matrix;
  for (int64_t i = 0; i < n; ++i) factored[i * n + i] += 1;
  const Matrix l{factored.data(), DType::f64, n, n, n};
  cholesky(l, threads);
  return filtered(system.rhs, [&](std::vector<double> x) {
    denseKernels().solveFactored(l, x.data());
    return x;
  });
}

}  // namespace espalier
