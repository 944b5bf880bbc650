#pragma once

// The solver of a backend that has one of its own, as a table of functions that can come from another library: plain C
// as backend/table.h. What each computes and its errors are described in solver.h. Inputs and results are in host
// memory; results are the caller's arrays, of the sizes given here.

#include "backend/table.h"
#include "solver/solver.h"

namespace espalier {

struct SolverTable {
  /// matrix [unknowns, unknowns] and rhs [unknowns], one for each unit and, with `ones`, one more.
  Status (*scaleSystem)(BackendState*, const ProjectionStatistics*, int64_t unitSize, bool ones, double* matrix,
                        double* rhs);
  /// matrix [unknowns, unknowns]; rhs, scales [unknowns].
  Status (*solveFiltered)(BackendState*, const double* matrix, const double* rhs, int64_t unknowns, double* scales);
  /// outputMoments [hidden, hidden]; order, errors [inputs / unitSize].
  Status (*eliminationOrder)(BackendState*, const ProjectionStatistics*, const double* outputMoments, int64_t unitSize,
                             double ridge, int32_t* order, double* errors);
  /// weight [hidden, inputs], biasShift [hidden].
  Status (*solveProjection)(BackendState*, const ProjectionStatistics*, double ridge, float* weight, float* biasShift);
  /// ridges [count].
  Status (*bestRidge)(BackendState*, const ProjectionStatistics* fit, const ProjectionStatistics* heldOut,
                      const double* ridges, int64_t count, double* best);
  /// weight, composedWeight [outputs, inputs]; mapWeight [inputs, inputs]; mapShift [inputs]; composedShift [outputs].
  Status (*composeProjection)(BackendState*, const float* weight, int64_t outputs, const float* mapWeight,
                              const float* mapShift, int64_t inputs, float* composedWeight, float* composedShift);
};

}  // namespace espalier
