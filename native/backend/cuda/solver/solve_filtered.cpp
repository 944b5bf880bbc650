#include "backend/cuda/solver/dense.h"
#include "backend/cuda/solver/device_matrix.h"
#include "backend/cuda/solver/matrix_steps.h"
#include "backend/cuda/solver/solver.h"
#include "solver/filter.h"

namespace espalier::cuda {

// Each solution of the factored system takes far longer than its way over the bus and what else an iteration does.
std::vector<double> solveFiltered(Runtime& runtime, const ScaleSystem& system) {
  checkSystem(system);
  const auto n = static_cast<int64_t>(system.rhs.size());
  const DeviceMatrix l(runtime, n, n), vector(runtime, 1, n);
  runtime.copyIn(l.view.data, system.matrix.data(), system.matrix.size() * sizeof(double));
  addToDiagonal(runtime, 1, l.view);
  cholesky(runtime, l.view);
  return filtered(system.rhs, [&](const std::vector<double>& x) {
    std::vector<double> solution(x.size());
    runtime.copyIn(vector.view.data, x.data(), x.size() * sizeof(double));
    solveFactored(runtime, l.view, vector.view);
    runtime.copyOut(solution.data(), vector.view.data, solution.size() * sizeof(double));
    return solution;
  });
}

}  // namespace espalier::cuda
