#pragma once

#include "core/matrix.h"
#include "solver/solver.h"

// What scaleSystem() does on every device.

namespace espalier {

/// Completes a system [unknowns] whose matrix holds the products between units already: with `ones`, the last row and
/// column; rhs. `vectors` are the projection's inputVectors().
void completeScaleSystem(const ProjectionStatistics& statistics, const Matrix& vectors, int64_t unitSize, bool ones,
                         ScaleSystem& system);

}  // namespace espalier
