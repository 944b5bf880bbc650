#pragma once

#include <vector>

#include "solver/solver.h"

// What scaleSystem() and solveFiltered() do on every device.

namespace espalier {

/// Completes a system [unknowns] whose matrix holds the products between units already: with `ones`, the last row and
/// column; rhs.
void completeScaleSystem(const ProjectionStatistics& statistics, int64_t unitSize, bool ones, double* matrix,
                         double* rhs);

/// Throws nonFinite on NaN or infinity; matrix [rhs.size(), rhs.size()].
void checkSystem(const double* matrix, const std::vector<double>& rhs);

}  // namespace espalier
