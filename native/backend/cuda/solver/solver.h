#pragma once

#include "backend/cuda/runtime.h"
#include "solver/solver.h"

// native/solver/solver.h on a device: what each function means, its arguments and its errors are described there.
// Statistics come from host memory and results return to it. Sums run in another order than on the CPU: results agree
// within rounding, and are the same bits at every call. What factors a Gram matrix throws nonFinite where the CPU's
// answer would be NaN.

namespace espalier::cuda {

/// matrix [unknowns, unknowns] and rhs [unknowns] are where the result goes.
void scaleSystem(Runtime& runtime, const ProjectionStatistics& statistics, int64_t unitSize, bool ones, double* matrix,
                 double* rhs);

std::vector<double> solveFiltered(Runtime& runtime, const double* matrix, const std::vector<double>& rhs);

Elimination eliminationOrder(Runtime& runtime, const ProjectionStatistics& statistics, const double* outputMoments,
                             int64_t unitSize, double ridge);

ProjectionFit solveProjection(Runtime& runtime, const ProjectionStatistics& statistics, double ridge);

double bestRidge(Runtime& runtime, const ProjectionStatistics& fit, const ProjectionStatistics& heldOut,
                 const std::vector<double>& ridges);

ProjectionFit composeProjection(Runtime& runtime, const float* weight, int64_t outputs, const ProjectionFit& map);

}  // namespace espalier::cuda
