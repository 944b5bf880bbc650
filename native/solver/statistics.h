#pragma once

#include <functional>
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

/// to [inputs, inputs] = the Gram matrix of the inputs less their means, whose part a bias that is fitted too takes,
/// with `ridge` added to its diagonal.
void centreGram(const ProjectionStatistics& statistics, double ridge, const Matrix& to);

/// [inputs, hidden] the products of inputs and targets, both less their means.
DenseMatrix centredCross(const ProjectionStatistics& statistics);

/// Calls factor(ridge), which adds the ridge to the diagonal of the centred Gram matrix and factors it, and returns the
/// ridge: `part` of the mean of the inputs' variances. Where the sums' rounding outweighs that, as of rows that are all
/// alike, factor() throws notPositiveDefinite and is called with ever more, unless `part` is 0. The statistics are on
/// the host. Throws nonFinite when there are NaN or infinity among the variances.
double factorWithRidge(const ProjectionStatistics& statistics, double part,
                       const std::function<void(double ridge)>& factor);

/// Throws invalidArgument unless there are rows, outputs and a whole number of units.
void checkUnits(const ProjectionStatistics& statistics, int64_t unitSize);

}  // namespace espalier
