#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "support/errors.h"
#include "support/projection.h"

namespace espalier::test {

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
inline Spectrum logarithmicSpectrum(int64_t count, double smallest, double largest) {
  Vector values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(smallest * std::pow(largest / smallest, count == 1 ? 0.0 : static_cast<double>(i) / (count - 1)));
  }
  return Spectrum(values);
}

/// solve: solveFiltered() of any device, (matrix, rhs) -> solution.
template <typename Solve>
void expectFiltersEigenvalues(const Solve& solve) {
  for (const int64_t n : {1, 2, 17, 128, 129, 300}) {
    for (const double smallest : {1e-9, 1.0, 50.0}) {
      for (const double largest : {1.0, 1e4, 1e8}) {
        if (largest < smallest) continue;
        const Spectrum spectrum = logarithmicSpectrum(n, smallest, largest);
        // A right-hand side of a least-squares problem lies in the range of the matrix.
        const Vector solution = randomVector(n, 4);
        const Vector rhs = spectrum.apply(solution, [](double s) { return s; });
        const Vector expected = spectrum.apply(solution, [](double s) { return s * s / (s * s + 1); });
        EXPECT_LT(largestDifference(solve(spectrum.matrix(), rhs), expected), 1e-6)
            << n << " unknowns, eigenvalues " << smallest << " to " << largest;
      }
    }
  }
}

template <typename Solve>
void expectLeavesDirectionsWithoutDataAlone(const Solve& solve) {
  Spectrum spectrum = logarithmicSpectrum(40, 1.0, 1e6);
  std::fill(spectrum.values.begin(), spectrum.values.begin() + 15, 0.0);
  const Vector rhs = randomVector(40, 5);
  const Vector expected = spectrum.apply(rhs, [](double s) { return s / (s * s + 1); });
  EXPECT_LT(largestDifference(solve(spectrum.matrix(), rhs), expected), 1e-8);
  EXPECT_EQ(solve(Vector(16, 0.0), randomVector(4, 6)), Vector(4, 0.0));
}

}  // namespace espalier::test
