#include "solver/statistics.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace espalier {
namespace {

/// Of the sum of all squares: what rounding leaves of it at least, and more than it ever does.
constexpr double kRounding = 1e-10, kMostRidge = 1e-3;

}  // namespace

DenseMatrix inputVectors(const ProjectionStatistics& statistics) {
  DenseMatrix vectors(statistics.inputs, statistics.hidden);
  for (int64_t c = 0; c < statistics.hidden; ++c) {
    for (int64_t i = 0; i < statistics.inputs; ++i) {
      vectors.view.row<double>(i)[c] = statistics.weight[c * statistics.inputs + i];
    }
  }
  return vectors;
}

void centreGram(const ProjectionStatistics& statistics, double ridge, const Matrix& to) {
  const int64_t n = statistics.inputs;
  for (int64_t i = 0; i < n; ++i) {
    const double mean = statistics.inputSums[i] / statistics.rows;
    double* const row = to.row<double>(i);
    for (int64_t j = 0; j < n; ++j) row[j] = statistics.gram[i * n + j] - mean * statistics.inputSums[j];
    row[i] += ridge;
  }
}

DenseMatrix centredCross(const ProjectionStatistics& statistics) {
  DenseMatrix cross(statistics.inputs, statistics.hidden);
  for (int64_t i = 0; i < statistics.inputs; ++i) {
    const double mean = statistics.inputSums[i] / statistics.rows;
    for (int64_t c = 0; c < statistics.hidden; ++c) {
      cross.view.row<double>(i)[c] = statistics.cross[i * statistics.hidden + c] - mean * statistics.targetSums[c];
    }
  }
  return cross;
}

double factorWithRidge(const ProjectionStatistics& statistics, double part,
                       const std::function<void(double ridge)>& factor) {
  const int64_t n = statistics.inputs;
  double variances = 0, squares = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double square = statistics.gram[i * n + i], mean = statistics.inputSums[i] / statistics.rows;
    variances += square - mean * statistics.inputSums[i];
    squares += square;
  }
  if (!std::isfinite(variances)) {
    throw Error(ErrorCode::nonFinite, "the statistics of a projection have values that are not finite");
  }
  // Inputs that are always zero have no variance to take a part of.
  const double least = part > 0 ? 1e-20 : 0;
  double ridge = std::max(least, part * variances / static_cast<double>(std::max<int64_t>(1, n)));
  for (;;) {
    try {
      factor(ridge);
      return ridge;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::notPositiveDefinite || part == 0 || ridge >= kMostRidge * squares) throw;
    }
    ridge = std::max(10 * ridge, kRounding * squares);
  }
}

void checkUnits(const ProjectionStatistics& statistics, int64_t unitSize) {
  require(statistics.rows > 0 && statistics.hidden > 0, "there are no rows to fit a projection to");
  require(unitSize > 0 && statistics.inputs > 0 && statistics.inputs % unitSize == 0,
          "the inputs of a projection must be a whole number of units");
}

}  // namespace espalier
