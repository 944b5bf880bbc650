#pragma once

#include <atomic>

#include "core/error.h"

namespace espalier {

/// Set from any thread; long work calls check() between steps.
class CancelToken {
 public:
  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  /// Throws cancelled once cancel() was called.
  void check() const {
    if (cancelled_.load(std::memory_order_relaxed)) throw Error(ErrorCode::cancelled, "the operation was cancelled");
  }

 private:
  std::atomic<bool> cancelled_{false};
};

}  // namespace espalier
