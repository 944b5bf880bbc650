#pragma once

#include <vector>

#include "core/matrix.h"
#include "solver/solver.h"

namespace espalier {

/// A square or oblong matrix of doubles that owns its values.
struct DenseMatrix {
  DenseMatrix(int64_t rows, int64_t cols)
      : values(static_cast<size_t>(rows * cols), 0.0), view{values.data(), DType::f64, rows, cols, cols} {}
  DenseMatrix(DenseMatrix&&) = default;
  DenseMatrix(const DenseMatrix&) = delete;

  std::vector<double> values;
  Matrix view;
};

/// [inputs, hidden] the transposed weight: row i holds what input i adds to the output.
DenseMatrix inputVectors(const ProjectionStatistics& statistics);

/// [inputs, inputs] the Gram matrix of the inputs less their means: a bias that is fitted too takes the means' part.
DenseMatrix centredGram(const ProjectionStatistics& statistics);

/// [inputs, hidden] the products of inputs and targets, both less their means.
DenseMatrix centredCross(const ProjectionStatistics& statistics);

/// Adds `part` of the mean of the diagonal to the diagonal and returns what it added.
double addRidge(const Matrix& gram, double part);

/// Throws invalidArgument unless there are rows, outputs and a whole number of units.
void checkUnits(const ProjectionStatistics& statistics, int64_t unitSize);

}  // namespace espalier
