#pragma once

#include "model/weights.h"

namespace espalier {

/// Adds what a linear map from `x` with the output gradient `dy` contributes to its weight's and its bias's gradient.
/// gradient: a weight in the backend's dtype, a bias in f64. dy: [rows, outputs], x: [rows, inputs].
void addLinearGradient(Backend& backend, const Linear& gradient, const Matrix& dy, const Matrix& x);

}  // namespace espalier
