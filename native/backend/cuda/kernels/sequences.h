#pragma once

#include "backend/cuda/kernel.h"

namespace espalier::cuda {

/// The last sequence that begins at `token` or before it: the one that has it.
__device__ inline int32_t sequenceOf(int64_t token, const int32_t* offsets, int32_t sequences) {
  int32_t first = 0, end = sequences;  // offsets[first] <= token < offsets[end]
  while (end - first > 1) {
    const int32_t middle = first + (end - first) / 2;
    if (offsets[middle] <= token) {
      first = middle;
    } else {
      end = middle;
    }
  }
  return first;
}

}  // namespace espalier::cuda
