#pragma once

// Walking along rows whose length need not be a multiple of the vector width.

#include <stdint.h>

#include "backend/cpu/simd.h"

namespace espalier {
namespace {

/// Calls step(first column, lanes) for each vector of a row; `lanes` is a constant kWidth except at the row's end.
template <typename Step>
inline void forEachVector(int64_t cols, Step step) {
  int64_t col = 0;
  for (; col + Vec::kWidth <= cols; col += Vec::kWidth) step(col, Vec::kWidth);
  if (col < cols) step(col, static_cast<int>(cols - col));
}

inline Vec loadLanes(const float* from, int lanes) {
  return lanes == Vec::kWidth ? Vec::load(from) : Vec::loadPartial(from, lanes);
}

inline void storeLanes(Vec value, float* to, int lanes) {
  if (lanes == Vec::kWidth) {
    value.store(to);
  } else {
    value.storePartial(to, lanes);
  }
}

}  // namespace
}  // namespace espalier
