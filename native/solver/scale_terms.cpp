#include "solver/scale_terms.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace espalier {
namespace {

void checkFinite(const double* values, size_t count) {
  if (std::all_of(values, values + count, [](double value) { return std::isfinite(value); })) return;
  throw Error(ErrorCode::nonFinite, "a system of scales has a value that is not finite");
}

/// What the units' inputs give with the targets, and with a column of ones.
struct UnitSums {
  std::vector<double> targets, ones;  // [units]
};

UnitSums unitSums(const ProjectionStatistics& statistics, int64_t unitSize) {
  constexpr int64_t kLine = 8;  // doubles that come from memory together, of a matrix read against its rows
  const int64_t inputs = statistics.inputs, hidden = statistics.hidden;
  std::vector<double> targets(static_cast<size_t>(inputs)), weights(static_cast<size_t>(inputs));
  for (int64_t first = 0; first < hidden; first += kLine) {
    for (int64_t i = 0; i < inputs; ++i) {
      for (int64_t c = first; c < std::min(first + kLine, hidden); ++c) {
        const double weight = statistics.weight[c * inputs + i];
        targets[i] += statistics.cross[i * hidden + c] * weight;
        weights[i] += weight;
      }
    }
  }
  const auto units = static_cast<size_t>(inputs / unitSize);
  UnitSums sums{std::vector<double>(units), std::vector<double>(units)};
  for (int64_t i = 0; i < inputs; ++i) {
    sums.targets[i / unitSize] += targets[i];
    sums.ones[i / unitSize] += weights[i] * statistics.inputSums[i];
  }
  return sums;
}

}  // namespace

void completeScaleSystem(const ProjectionStatistics& statistics, int64_t unitSize, bool ones, double* matrix,
                         double* rhs) {
  const UnitSums sums = unitSums(statistics, unitSize);
  const auto units = static_cast<int64_t>(sums.targets.size());
  const int64_t unknowns = units + (ones ? 1 : 0);
  std::copy(sums.targets.begin(), sums.targets.end(), rhs);
  if (ones) {
    for (int64_t u = 0; u < units; ++u) {
      matrix[u * unknowns + units] = matrix[units * unknowns + u] = sums.ones[u];
    }
    matrix[units * unknowns + units] = statistics.rows * static_cast<double>(statistics.hidden);
    rhs[units] = 0;
    for (int64_t c = 0; c < statistics.hidden; ++c) rhs[units] += statistics.targetSums[c];
  }
  for (int64_t u = 0; u < unknowns; ++u) {
    for (int64_t v = 0; v < unknowns; ++v) rhs[u] -= matrix[u * unknowns + v];
  }
}

void checkSystem(const double* matrix, const std::vector<double>& rhs) {
  checkFinite(matrix, rhs.size() * rhs.size());
  checkFinite(rhs.data(), rhs.size());
}

}  // namespace espalier
