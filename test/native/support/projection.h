#pragma once

#include <random>
#include <vector>

#include "solver/solver.h"

namespace espalier::test {

using Vector = std::vector<double>;

inline Vector randomVector(int64_t size, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  Vector values(static_cast<size_t>(size));
  for (double& value : values) value = normal(generator);
  return values;
}

inline double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// Inputs, targets and weights of a projection, and its least-squares matrix written out.
struct Projection {
  static constexpr int64_t kHidden = 5;
  int64_t inputs, rows;
  Vector x = randomVector(rows * inputs, 1);
  Vector b = randomVector(rows * kHidden, 2);
  std::vector<float> weight;
  Vector gram, cross, inputSums, targetSums;

  explicit Projection(int64_t inputs, int64_t rows = 23) : inputs(inputs), rows(rows) {
    for (double value : randomVector(kHidden * inputs, 3)) weight.push_back(static_cast<float>(value));
    gram.resize(static_cast<size_t>(inputs * inputs));
    cross.resize(static_cast<size_t>(inputs * kHidden));
    inputSums.resize(static_cast<size_t>(inputs));
    targetSums.resize(kHidden);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t i = 0; i < inputs; ++i) {
        const double value = x[row * inputs + i];
        inputSums[i] += value;
        for (int64_t j = 0; j < inputs; ++j) gram[i * inputs + j] += value * x[row * inputs + j];
        for (int64_t c = 0; c < kHidden; ++c) cross[i * kHidden + c] += value * b[row * kHidden + c];
      }
      for (int64_t c = 0; c < kHidden; ++c) targetSums[c] += b[row * kHidden + c];
    }
  }

  ProjectionStatistics statistics() const {
    return {static_cast<double>(rows), inputs,       kHidden, gram.data(), cross.data(), inputSums.data(),
            targetSums.data(),         weight.data()};
  }

  /// Columns of A: what each unit adds to the output, and ones.
  std::vector<Vector> columns(int64_t unitSize, bool ones) const {
    std::vector<Vector> columns(static_cast<size_t>(inputs / unitSize), Vector(rows * kHidden, 0.0));
    for (int64_t i = 0; i < inputs; ++i) {
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t c = 0; c < kHidden; ++c) {
          columns[i / unitSize][row * kHidden + c] += x[row * inputs + i] * weight[c * inputs + i];
        }
      }
    }
    if (ones) columns.emplace_back(rows * kHidden, 1.0);
    return columns;
  }
};

/// Of a single row, with squares that were rounded down: its variances, of which there are none, come out negative.
inline Projection projectionOfOneRow(int64_t inputs) {
  Projection projection(inputs, 1);
  for (double& value : projection.gram) value *= 1 - 1e-7;
  return projection;
}

}  // namespace espalier::test
