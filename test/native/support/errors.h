#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace espalier::test {

template <typename Values>
double largestMagnitude(const Values& values) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

/// Infinity where sizes differ or a difference is no number, which no maximum would notice.
template <typename Values, typename Expected>
double largestDifference(const Values& values, const Expected& expected) {
  if (values.size() != expected.size()) return INFINITY;
  double largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(static_cast<double>(values[i]) - static_cast<double>(expected[i]));
    if (!std::isfinite(difference)) return INFINITY;
    largest = std::max(largest, difference);
  }
  return largest;
}

/// The largest difference over the largest magnitude expected; where only zeros are expected, so large that nothing but
/// zeros passes.
template <typename Values, typename Expected>
double relativeError(const Values& values, const Expected& expected) {
  return largestDifference(values, expected) / std::max(largestMagnitude(expected), std::numeric_limits<double>::min());
}

}  // namespace espalier::test
