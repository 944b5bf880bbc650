#pragma once

#include <cstddef>
#include <memory>

namespace espalier::cpu {

/// Uninitialised memory on a cache line's boundary, in huge pages where it is large enough: rows of a matrix that lie
/// far apart then do not each cost a walk of the page table. Throws std::bad_alloc.
void* allocateAligned(size_t bytes);
void releaseAligned(void* data) noexcept;

struct ReleaseAligned {
  void operator()(void* data) const noexcept { releaseAligned(data); }
};
using AlignedFloats = std::unique_ptr<float[], ReleaseAligned>;

}  // namespace espalier::cpu
