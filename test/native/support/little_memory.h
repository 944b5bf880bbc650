#pragma once

#include <memory>

#include "backend/backend.h"

namespace espalier::test {

/// Whether the backend below is out of memory for packed weights.
inline bool memoryUsedUp = false;

/// The reference backend in float, as long as it has memory.
inline std::shared_ptr<Backend> openWithLittleMemory() {
  static const BackendTable table = [] {
    BackendTable little = *referenceBackendTable();
    little.packWeight = [](BackendState* state, const PackArgs* args, PackedWeight** packed) {
      if (memoryUsedUp) return Status{ErrorCode::outOfMemory, "the memory is used up"};
      return referenceBackendTable()->packWeight(state, args, packed);
    };
    return little;
  }();
  return Backend::open(table, {DType::f32, 1, 0});
}

}  // namespace espalier::test
