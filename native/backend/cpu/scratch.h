#pragma once

#include <cstddef>

namespace espalier::cpu {

/// At least `count` floats of this thread's own, on a cache line's boundary, kept for the next call. Throws
/// std::bad_alloc.
float* threadScratch(size_t count);

}  // namespace espalier::cpu
