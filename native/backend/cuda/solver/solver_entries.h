#pragma once

#include <algorithm>
#include <functional>

#include "backend/cuda/solver/solver.h"
#include "solver/solver_table.h"

namespace espalier::cuda {

/// Calls body with the runtime of a backend's state; what it throws becomes the Status.
using OnRuntime = Status (*)(BackendState* state, const std::function<void(Runtime& runtime)>& body);

/// The entries of a SolverTable on a backend's device.
template <OnRuntime onRuntime>
struct SolverEntries {
  static Status scaleSystem(BackendState* state, const ProjectionStatistics* statistics, int64_t unitSize, bool ones,
                            double* matrix, double* rhs) {
    return onRuntime(state,
                     [&](Runtime& runtime) { cuda::scaleSystem(runtime, *statistics, unitSize, ones, matrix, rhs); });
  }

  static Status solveFiltered(BackendState* state, const double* matrix, const double* rhs, int64_t unknowns,
                              double* scales) {
    return onRuntime(state, [&](Runtime& runtime) {
      const std::vector<double> solution = cuda::solveFiltered(runtime, matrix, {rhs, rhs + unknowns});
      std::copy(solution.begin(), solution.end(), scales);
    });
  }

  static Status eliminationOrder(BackendState* state, const ProjectionStatistics* statistics,
                                 const double* outputMoments, int64_t unitSize, double ridge, int32_t* order,
                                 double* errors) {
    return onRuntime(state, [&](Runtime& runtime) {
      const Elimination found = cuda::eliminationOrder(runtime, *statistics, outputMoments, unitSize, ridge);
      std::copy(found.order.begin(), found.order.end(), order);
      std::copy(found.errors.begin(), found.errors.end(), errors);
    });
  }

  static Status solveProjection(BackendState* state, const ProjectionStatistics* statistics, double ridge,
                                float* weight, float* biasShift) {
    return onRuntime(state, [&](Runtime& runtime) {
      copyFit(cuda::solveProjection(runtime, *statistics, ridge), weight, biasShift);
    });
  }

  static Status bestRidge(BackendState* state, const ProjectionStatistics* fit, const ProjectionStatistics* heldOut,
                          const double* ridges, int64_t count, double* best) {
    return onRuntime(state, [&](Runtime& runtime) {
      *best = cuda::bestRidge(runtime, *fit, *heldOut, {ridges, ridges + count});
    });
  }

  static Status composeProjection(BackendState* state, const float* weight, int64_t outputs, const float* mapWeight,
                                  const float* mapShift, int64_t inputs, float* composedWeight, float* composedShift) {
    return onRuntime(state, [&](Runtime& runtime) {
      const ProjectionFit map{{mapWeight, mapWeight + inputs * inputs}, {mapShift, mapShift + inputs}};
      copyFit(cuda::composeProjection(runtime, weight, outputs, map), composedWeight, composedShift);
    });
  }

  static constexpr SolverTable kTable = {scaleSystem,     solveFiltered, eliminationOrder,
                                         solveProjection, bestRidge,     composeProjection};

 private:
  static void copyFit(const ProjectionFit& fit, float* weight, float* biasShift) {
    std::copy(fit.weight.begin(), fit.weight.end(), weight);
    std::copy(fit.biasShift.begin(), fit.biasShift.end(), biasShift);
  }
};

}  // namespace espalier::cuda
