// Least squares of unit scales. The kernels below it depend on the instruction set, hence "cpu" in the names.

#include "solver/solver.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "support/errors.h"
#include "support/projection.h"
#include "support/spectrum.h"

namespace espalier::test {

namespace {

ErrorCode codeOf(const Vector& matrix, const Vector& rhs) {
  try {
    solveFiltered(matrix.data(), rhs, 2);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::ok;
}

TEST(cpuScaleSystem, isTheLeastSquaresProblemWrittenOut) {
  for (const int64_t unitSize : {1, 3}) {
    for (const int64_t inputs : {3, 12, 231, 600}) {
      for (const bool ones : {false, true}) {
        const Projection projection(inputs);
        const ScaleSystem system = scaleSystem(projection.statistics(), unitSize, ones, 2);
        const std::vector<Vector> columns = projection.columns(unitSize, ones);
        const size_t n = columns.size();
        ASSERT_EQ(system.rhs.size(), n);
        Vector matrix, rhs;
        for (const Vector& column : columns) {
          rhs.push_back(dot(column, projection.b));
          for (const Vector& other : columns) {
            matrix.push_back(dot(column, other));
            rhs.back() -= matrix.back();
          }
        }
        const double scale = 1e-12 * static_cast<double>(inputs * projection.rows * Projection::kHidden);
        EXPECT_LT(largestDifference(system.matrix, matrix), scale) << inputs << " inputs by " << unitSize;
        EXPECT_LT(largestDifference(system.rhs, rhs), scale * 10) << inputs << " inputs by " << unitSize;
      }
    }
  }
}

TEST(cpuScaleSystem, refusesSizesThatDoNotFit) {
  const Projection projection(12);
  EXPECT_THROW(scaleSystem(projection.statistics(), 5, false, 1), Error);
  EXPECT_THROW(scaleSystem(projection.statistics(), 0, false, 1), Error);
  ProjectionStatistics empty = projection.statistics();
  empty.rows = 0;
  EXPECT_THROW(scaleSystem(empty, 1, false, 1), Error);
}

Vector solve(const Vector& matrix, const Vector& rhs) { return solveFiltered(matrix.data(), rhs, 2); }

TEST(cpuSolveFiltered, filtersTheEigenvalues) { expectFiltersEigenvalues(solve); }

TEST(cpuSolveFiltered, leavesDirectionsWithoutDataAlone) { expectLeavesDirectionsWithoutDataAlone(solve); }

TEST(cpuSolveFiltered, givesTheSameBitsAtAnyNumberOfThreads) {
  const Spectrum spectrum = logarithmicSpectrum(517, 1e-3, 1e7);
  const Vector matrix = spectrum.matrix(), rhs = randomVector(517, 7);
  const Vector alone = solveFiltered(matrix.data(), rhs, 1);
  EXPECT_EQ(solveFiltered(matrix.data(), rhs, 2), alone);
  EXPECT_EQ(solveFiltered(matrix.data(), rhs, 5), alone);
  const Projection projection(600);
  const ScaleSystem one = scaleSystem(projection.statistics(), 3, true, 1);
  const ScaleSystem three = scaleSystem(projection.statistics(), 3, true, 3);
  EXPECT_EQ(one.matrix, three.matrix);
  EXPECT_EQ(one.rhs, three.rhs);
}

TEST(cpuSolveFiltered, namesWhatIsWrong) {
  EXPECT_EQ(codeOf({1, 0, 0, -2}, {1, 1}), ErrorCode::notPositiveDefinite);
  EXPECT_EQ(codeOf({1, 0, 0, NAN}, {1, 1}), ErrorCode::nonFinite);
  EXPECT_EQ(codeOf({1, 0, 0, 1}, {std::numeric_limits<double>::infinity(), 1}), ErrorCode::nonFinite);
}

}  // namespace

}  // namespace espalier::test
