// Least squares of unit scales. The kernels below it depend on the instruction set, hence "cpu" in the names.

#include "solver/solver.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "support/errors.h"
#include "support/projection.h"

namespace espalier::test {

namespace {

ErrorCode codeOf(const ScaleSystem& system) {
  try {
    solveFiltered(system, 2);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::ok;
}

/// A symmetric matrix of given eigenvalues: eigenvectors are the columns of a product of reflections.
struct Spectrum {
  Vector values;
  std::vector<Vector> reflections;

  explicit Spectrum(const Vector& eigenvalues) : values(eigenvalues) {
    for (unsigned seed = 10; seed < 13; ++seed) {
      Vector v = randomVector(size(), seed);
      const double norm = std::sqrt(dot(v, v));
      for (double& value : v) value /= norm;
      reflections.push_back(v);
    }
  }

  int64_t size() const { return static_cast<int64_t>(values.size()); }

  Vector rotate(Vector x, bool inverse) const {
    for (size_t i = 0; i < reflections.size(); ++i) {
      const Vector& v = reflections[inverse ? reflections.size() - 1 - i : i];
      const double twice = 2 * dot(v, x);
      for (size_t j = 0; j < x.size(); ++j) x[j] -= twice * v[j];
    }
    return x;
  }

  template <typename Function>
  Vector apply(const Vector& x, Function function) const {
    Vector y = rotate(x, true);
    for (size_t i = 0; i < y.size(); ++i) y[i] *= function(values[i]);
    return rotate(y, false);
  }

  Vector matrix() const {
    Vector matrix;
    for (int64_t i = 0; i < size(); ++i) {
      Vector unit(static_cast<size_t>(size()), 0.0);
      unit[i] = 1;
      const Vector row = apply(unit, [](double s) { return s; });
      matrix.insert(matrix.end(), row.begin(), row.end());
    }
    return matrix;
  }
};

/// `count` eigenvalues from `smallest` to `largest`, evenly spaced in their logarithm.
Spectrum logarithmicSpectrum(int64_t count, double smallest, double largest) {
  Vector values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(smallest * std::pow(largest / smallest, count == 1 ? 0.0 : static_cast<double>(i) / (count - 1)));
  }
  return Spectrum(values);
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

TEST(cpuSolveFiltered, filtersTheEigenvalues) {
  for (const int64_t n : {1, 2, 17, 128, 129, 300}) {
    for (const double smallest : {1e-9, 1.0, 50.0}) {
      for (const double largest : {1.0, 1e4, 1e8}) {
        if (largest < smallest) continue;
        const Spectrum spectrum = logarithmicSpectrum(n, smallest, largest);
        // A right-hand side of a least-squares problem lies in the range of the matrix.
        const Vector solution = randomVector(n, 4);
        const Vector rhs = spectrum.apply(solution, [](double s) { return s; });
        const Vector expected = spectrum.apply(solution, [](double s) { return s * s / (s * s + 1); });
        EXPECT_LT(largestDifference(solveFiltered({spectrum.matrix(), rhs}, 2), expected), 1e-6)
            << n << " unknowns, eigenvalues " << smallest << " to " << largest;
      }
    }
  }
}

TEST(cpuSolveFiltered, leavesDirectionsWithoutDataAlone) {
  Spectrum spectrum = logarithmicSpectrum(40, 1.0, 1e6);
  std::fill(spectrum.values.begin(), spectrum.values.begin() + 15, 0.0);
  const Vector rhs = randomVector(40, 5);
  const Vector expected = spectrum.apply(rhs, [](double s) { return s / (s * s + 1); });
  EXPECT_LT(largestDifference(solveFiltered({spectrum.matrix(), rhs}, 1), expected), 1e-8);
  const ScaleSystem zero{Vector(16, 0.0), randomVector(4, 6)};
  EXPECT_EQ(solveFiltered(zero, 1), Vector(4, 0.0));
}

TEST(cpuSolveFiltered, givesTheSameBitsAtAnyNumberOfThreads) {
  const Spectrum spectrum = logarithmicSpectrum(517, 1e-3, 1e7);
  const ScaleSystem system{spectrum.matrix(), randomVector(517, 7)};
  const Vector alone = solveFiltered(system, 1);
  EXPECT_EQ(solveFiltered(system, 2), alone);
  EXPECT_EQ(solveFiltered(system, 5), alone);
  const Projection projection(600);
  const ScaleSystem one = scaleSystem(projection.statistics(), 3, true, 1);
  const ScaleSystem three = scaleSystem(projection.statistics(), 3, true, 3);
  EXPECT_EQ(one.matrix, three.matrix);
  EXPECT_EQ(one.rhs, three.rhs);
}

TEST(cpuSolveFiltered, namesWhatIsWrong) {
  EXPECT_EQ(codeOf({{1, 0, 0, -2}, {1, 1}}), ErrorCode::notPositiveDefinite);
  EXPECT_EQ(codeOf({{1, 0, 0, NAN}, {1, 1}}), ErrorCode::nonFinite);
  EXPECT_EQ(codeOf({{1, 0, 0, 1}, {std::numeric_limits<double>::infinity(), 1}}), ErrorCode::nonFinite);
  EXPECT_EQ(codeOf({{1, 0, 0}, {1, 1}}), ErrorCode::invalidArgument);
}

}  // namespace

}  // namespace espalier::test
