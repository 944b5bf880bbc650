#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "core/error.h"
#include "core/thread_pool.h"
#include "model/batch.h"

namespace espalier {

/// With `atOnce` above 1, operations inside `run` stay on the thread that calls them.
inline void forEachPart(const std::vector<MicroBatch>& parts, int atOnce,
                        const std::function<void(int64_t index)>& run) {
  const auto count = static_cast<int64_t>(parts.size());
  if (atOnce > 1) return parallelFor(atOnce, count, run);
  for (int64_t index = 0; index < count; ++index) run(index);
}

/// Throws nonFinite where one of the values, logits or what comes of them, is NaN or infinite.
inline void requireFinite(const std::vector<float>& logits) {
  for (float value : logits) {
    if (!std::isfinite(value))
      throw Error(ErrorCode::nonFinite,
                  "the model computed a logit that is not a finite number (its weights are too large, or broken)");
  }
}

}  // namespace espalier
