#pragma once

#include "backend/cuda/runtime.h"
#include "core/matrix.h"
#include "solver/solver.h"

// What the solver does to matrices of doubles between its dense steps. Every pointer and view is on the device, and
// views have no gaps between their rows. Statistics have device pointers too.

namespace espalier::cuda {

void widen(Runtime& runtime, const float* from, const Matrix& to);

void narrow(Runtime& runtime, const Matrix& from, float* to);

void addToDiagonal(Runtime& runtime, double value, const Matrix& to);

/// to [inputs, inputs] = the Gram matrix of the inputs less their means, with `ridge` added to its diagonal. Of the
/// statistics it takes rows, inputs, gram and inputSums.
void centreGram(Runtime& runtime, const ProjectionStatistics& statistics, double ridge, const Matrix& to);

/// to [hidden, inputs] = the products of targets and inputs, both less their means, plus `pull` times the weight.
void pulledProducts(Runtime& runtime, const ProjectionStatistics& statistics, double pull, const Matrix& to);

/// errors [hidden] = the sum over rows of |x * weight' + shift - b|^2, less that of |b|^2, of each hidden coordinate;
/// weight [hidden, inputs], images [hidden, inputs] = weight * gram, shift [hidden].
void squaredErrors(Runtime& runtime, const ProjectionStatistics& statistics, const Matrix& weight, const Matrix& images,
                   const float* shift, double* errors);

/// to[u][v] for every pair of units, symmetric = the sum of gram[i][j] * products[i][j] over the inputs i of unit u and
/// j of unit v. gram and products are [inputs, inputs]; `to` may have more columns than there are units: they are left
/// alone. units [inputs, units] is scratch.
void sumOverUnits(Runtime& runtime, const double* gram, const Matrix& products, int64_t unitSize, const Matrix& units,
                  const Matrix& to);

}  // namespace espalier::cuda
