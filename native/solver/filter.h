#pragma once

#include <functional>
#include <vector>

#include "solver/solver.h"

// What solveFiltered() does on every device.

namespace espalier {

/// Throws invalidArgument unless the system is square, nonFinite on NaN or infinity.
void checkSystem(const ScaleSystem& system);

/// z of (M^2 + 1) z = M r for r = rhs, given applyP(x) = (M + 1)^-1 x.
std::vector<double> filtered(const std::vector<double>& rhs,
                             const std::function<std::vector<double>(const std::vector<double>& x)>& applyP);

}  // namespace espalier
